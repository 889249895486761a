package ssh

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

// hostile is an SFTP server that lists one file under a name of its choice.
type hostile struct {
	name   string
	mode   fs.FileMode
	target string // of a link
}

func (h hostile) Name() string       { return h.name }
func (h hostile) Size() int64        { return 4 }
func (h hostile) Mode() fs.FileMode  { return h.mode }
func (h hostile) ModTime() time.Time { return time.Time{} }
func (h hostile) IsDir() bool        { return h.mode.IsDir() }
func (h hostile) Sys() any           { return nil }

type folder struct{ hostile }

func (folder) Name() string      { return "tree" }
func (folder) Mode() fs.FileMode { return fs.ModeDir | 0o755 }
func (folder) IsDir() bool       { return true }

type lister []os.FileInfo

func (l lister) ListAt(to []os.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l)) {
		return 0, io.EOF
	}
	return copy(to, l[offset:]), nil
}

func (h hostile) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	switch {
	case r.Method == "List":
		return lister{h}, nil
	case r.Method == "Readlink":
		return lister{hostile{name: h.target}}, nil
	case strings.HasSuffix(r.Filepath, "/tree"):
		return lister{folder{h}}, nil
	}
	return lister{h}, nil
}

func (h hostile) Readlink(string) (string, error) { return h.target, nil }

func (h hostile) Fileread(*sftp.Request) (io.ReaderAt, error) { return strings.NewReader("evil"), nil }

// within has a folder, and in it what the hostile server lists.
type within struct {
	hostile
	folder string
}

func (w within) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "List" && strings.HasSuffix(r.Filepath, "/tree") {
		return lister{hostile{name: w.folder, mode: fs.ModeDir | 0o755}}, nil
	}
	return w.hostile.Filelist(r)
}

// serve gives a copier with a client of the server.
func (h hostile) serve(t *testing.T) *Copier { return serve(t, h, h) }

func serve(t *testing.T, get sftp.FileReader, list sftp.FileLister) *Copier {
	t.Helper()
	ours, theirs := net.Pipe()
	server := sftp.NewRequestServer(theirs, sftp.Handlers{FileGet: get, FileList: list, FilePut: refuse{}, FileCmd: refuse{}})
	go server.Serve()
	client, heard, err := newRemote(ours, ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close(); client.Close() })
	return &Copier{Remote: client, heard: heard, Recursive: true}
}

type refuse struct{}

func (refuse) Filewrite(*sftp.Request) (io.WriterAt, error) { return nil, errors.New("no") }
func (refuse) Filecmd(*sftp.Request) error                  { return errors.New("no") }

// Whatever a host lists, nothing is written outside of the destination.
func TestDownloadFromAHostileHost(t *testing.T) {
	for name, test := range map[string]struct {
		host hostile
		says string // empty: no error
	}{
		"an honest name":           {hostile{name: "file", mode: 0o644}, ""},
		"the folder above":         {hostile{name: "..", mode: fs.ModeDir | 0o755}, ""}, // the library drops it
		"the folder above, a file": {hostile{name: "..", mode: 0o644}, ""},
		"a path above":             {hostile{name: "../../evil", mode: 0o644}, ""}, // of which the library keeps the last name
		"a backslash":              {hostile{name: `..\evil`, mode: 0o644}, "lists a file called"},
		"a zero byte":              {hostile{name: "a\x00b", mode: 0o644}, "lists a file called"},
		"a link out":               {hostile{name: "link", mode: fs.ModeSymlink | 0o777, target: "../../outside"}, "not everything was copied"},
		"a link to the root":       {hostile{name: "link", mode: fs.ModeSymlink | 0o777, target: "/etc"}, "not everything was copied"},
		"a device":                 {hostile{name: "null", mode: fs.ModeDevice | 0o666}, "not everything was copied"},
		"folders without end":      {hostile{name: "again", mode: fs.ModeDir | 0o755}, "folders deep"},
	} {
		t.Run(name, func(t *testing.T) {
			outside := t.TempDir()
			into := filepath.Join(outside, "into")
			if err := os.Mkdir(into, 0o700); err != nil {
				t.Fatal(err)
			}
			c := test.host.serve(t)
			_, err := c.Download(context.Background(), []string{"tree"}, into)
			switch {
			case test.says == "" && err != nil:
				t.Fatal(err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("got %v, want %q", err, test.says)
			}
			if data, err := os.ReadFile(filepath.Join(into, "tree", "file")); test.host.name == "file" && (err != nil || string(data) != "evil") {
				t.Errorf("the file holds %q: %v", data, err)
			}
			entries, err := os.ReadDir(outside)
			if err != nil || len(entries) != 1 {
				t.Errorf("beside the destination: %v %v", entries, err)
			}
		})
	}
}

// A link that is there already does not lead a download out of the destination.
func TestDownloadOverALinkThatIsThere(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	into := filepath.Join(dir, "into", "tree")
	for _, made := range []string{outside, into} {
		if err := os.MkdirAll(made, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"file": filepath.Join(outside, "file"), "again": outside} {
		if err := os.Symlink(target, filepath.Join(into, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, host := range []hostile{{name: "file", mode: 0o644}, {name: "again", mode: fs.ModeDir | 0o755}} {
		c := host.serve(t)
		_, _ = c.Download(context.Background(), []string{"tree"}, filepath.Dir(into))
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("written outside: %v %v", entries, err)
	}
	if info, err := os.Lstat(filepath.Join(into, "file")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the link was not replaced by the file: %v %v", info, err)
	}
}

// A link is measured from the folder that it is really in.
func TestDownloadOfALinkBehindALink(t *testing.T) {
	into := t.TempDir()
	tree := filepath.Join(into, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(".", filepath.Join(tree, "again")); err != nil { // as an earlier copy may have left it
		t.Fatal(err)
	}
	host := within{hostile{name: "up", mode: fs.ModeSymlink | 0o777, target: ".."}, "again"}
	c := serve(t, host, host)
	if _, err := c.Download(context.Background(), []string{"tree"}, into); err == nil || !strings.Contains(err.Error(), "not everything was copied") {
		t.Errorf("got %v", err)
	}
	if target, err := os.Readlink(filepath.Join(tree, "up")); err == nil {
		t.Errorf("a link to %s, which is out of the tree", target)
	}
}

func TestLocalLink(t *testing.T) {
	for link, want := range map[[2]string]bool{
		{"a", "b"}: true, {"d/a", "../b"}: true, {"d/e/a", "../../b"}: true,
		{"a", ".."}: false, {"a", "../b"}: false, {"d/a", "../../b"}: false, {"a", "/etc/passwd"}: false, {"a", ""}: false, {"a", "b\\c"}: false,
		{"d/a", "../../d/b"}: false,
		// x may be a link itself, and what is above it is then elsewhere.
		{"a", "x/../b"}: false, {"d/a", "x/../../b"}: false, {"a", "./b"}: true, {"d/a", ".././b/c/"}: true,
	} {
		if got := localLink(link[0], link[1]); got != want {
			t.Errorf("%s -> %q: %v, want %v", link[0], link[1], got, want)
		}
	}
}

// A copy that ends early leaves neither the name nor the partial file.
func TestDownloadBrokenOff(t *testing.T) {
	into := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	c := hostile{name: "file", mode: 0o644}.serve(t)
	cancel()
	if _, err := c.Download(ctx, []string{"file"}, into); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(into); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}
