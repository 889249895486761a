package commands

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/ssh"
	"github.com/gatepass-ci/gatepass/internal/words"
)

const cpExample = `  gatepass cp app.tar.gz deploy@host.example.com:releases/
  gatepass cp -r ./public deploy@host.example.com:/srv/www
  gatepass cp -r deploy@host.example.com:/var/log/shop ./logs`

type cpFlags struct {
	hostFlags
	recursive bool
}

func newCopy(env *Env) *cobra.Command {
	var flags cpFlags
	cmd := &cobra.Command{
		Use:     "cp [flags] SRC… DST",
		Short:   "Copy files to or from a host over SFTP; a path on a host is [user@]host:path",
		Example: cpExample,
	}
	fs := cmd.Flags()
	flags.bind(fs, "P")
	fs.BoolVarP(&flags.recursive, "recursive", "r", false, "copy folders with all that is in them")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		route, err := parseRoute(args)
		if err != nil {
			return err
		}
		return flags.copy(cmd.Context(), env, route)
	}
	return cmd
}

// route is what goes where: paths on one host, and paths here.
type route struct {
	host        ssh.Target
	upload      bool
	sources     []string
	destination string
}

// parseRoute finds the host in the arguments; exactly one side is on it.
func parseRoute(args []string) (route, error) {
	if len(args) < 2 {
		return route{}, cli.Misused("cp takes at least two paths").Hint("write: gatepass cp FILE [user@]host:path")
	}
	last := len(args) - 1
	host, destination, upload := cutHost(args[last])
	r := route{upload: upload, destination: destination, sources: args[:last]}
	hosts := map[string]bool{}
	if upload {
		hosts[host] = true
	}
	r.sources = nil
	for _, arg := range args[:last] {
		host, path, remote := cutHost(arg)
		if remote == upload {
			which := "neither is"
			if remote {
				which = "both are"
			}
			return route{}, cli.Misused("one side must be on a host and the other here, and %s on a host", which).
				Hint("write: gatepass cp FILE… [user@]host:path, or: gatepass cp [user@]host:path… FILE; write ./a:b for a file here with a colon in its name")
		}
		if remote {
			hosts[host] = true
		}
		r.sources = append(r.sources, path)
	}
	if len(hosts) != 1 {
		return route{}, cli.Misused("the paths are on several hosts").Hint("run gatepass cp once for each host")
	}
	for text := range hosts {
		target, err := ssh.ParseTarget(text)
		if err != nil {
			return route{}, err
		}
		r.host = target
	}
	return r, nil
}

// check finds what is wrong on this side.
func (r route) check(recursive bool) error {
	if r.upload {
		return ssh.CheckUpload(r.sources, recursive)
	}
	return ssh.CheckDownload(r.sources, r.destination, recursive)
}

// cutHost splits [user@]host:path. As scp has it, a colon after a slash is none; an
// IPv6 address is in brackets.
func cutHost(arg string) (host, path string, remote bool) {
	end := strings.Index(arg, ":")
	if i := strings.Index(arg, "]:"); i >= 0 && strings.Contains(arg[:i], "[") {
		end = i + 1
	}
	if slash := strings.Index(arg, "/"); end <= 0 || slash >= 0 && slash < end {
		return "", arg, false
	}
	path = arg[end+1:]
	if home, ok := strings.CutPrefix(path, "~/"); ok || path == "~" {
		path = strings.TrimPrefix(home, "~") // paths begin at home anyway
	}
	if path == "" {
		path = "."
	}
	return arg[:end], path, true
}

func (f *cpFlags) copy(ctx context.Context, env *Env, r route) error {
	p, err := f.prepare(env)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	targets := []ssh.Target{r.host}
	if err := p.join(ctx, env, targets, func() error { return r.check(f.recursive) }); err != nil {
		return interrupted(ctx, err)
	}
	conn, err := p.config.Dial(ctx, targets[0])
	if err != nil {
		return interrupted(ctx, err)
	}
	defer conn.Close()
	progress := newProgress(env)
	copier := &ssh.Copier{Recursive: f.recursive, Progress: progress.tell}
	begin := env.Now()
	total, err := conn.Transfer(ctx, copier, func() (ssh.Total, error) {
		if r.upload {
			return copier.Upload(ctx, r.sources, r.destination)
		}
		return copier.Download(ctx, r.sources, r.destination)
	})
	progress.clear()
	if err != nil {
		return interrupted(ctx, err)
	}
	took := env.Now().Sub(begin)
	fmt.Fprintf(env.Out, "copied %d files, %s in %s\n", total.Files, bytesText(total.Bytes), took.Round(10*time.Millisecond))
	return nil
}

// progress is one line at a terminal that is written over and over; elsewhere nothing.
type progress struct {
	to    io.Writer // nil when nobody looks
	now   func() time.Time
	begin time.Time
	last  time.Time
	name  string
}

func newProgress(env *Env) *progress {
	p := &progress{now: env.Now}
	if env.Getenv("TERM") != "dumb" && cli.IsTerminal(env.Err) {
		p.to = cli.Unguarded(env.Err) // whose line this writes over
	}
	return p
}

// tell is called for each packet; it prints ten times a second at most.
func (p *progress) tell(name string, done, total int64) {
	if p.to == nil {
		return
	}
	now := p.now()
	if name != p.name {
		p.name, p.begin = name, now
	}
	if now.Sub(p.last) < 100*time.Millisecond && done < total {
		return
	}
	p.last = now
	percent := int64(100)
	if total > 0 {
		percent = min(100, done*100/total)
	}
	rate := int64(float64(done) / max(now.Sub(p.begin).Seconds(), 0.001))
	fmt.Fprintf(p.to, "\r\x1b[K%s  %d%%  %s  %s/s", words.Clean(name), percent, bytesText(done), bytesText(rate))
}

func (p *progress) clear() {
	if p.to != nil && p.name != "" {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

// bytesText is a size for people, in powers of 1024 (IEC 80000-13).
func bytesText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	value := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value /= 1024; value < 1024 || unit == "TiB" {
			return fmt.Sprintf("%.1f %s", value, unit)
		}
	}
	return ""
}
