package test

import (
	"bufio"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

var everywhere = []string{"web-1.example.com", "web-2.example.com"}

func deployment(t *testing.T, w *world) {
	vars := w.service(variables{
		"SSH_USER": "deploy", "SSH_HOST": everywhere, "SSH_PORT": w.port, "COPY": []string{"public:site/current", "README.md:site/"},
		"COMMAND": `sh site/current/bin/restart; find site -type f | sort | tr '\n' ' '; printf '%s\n' "it's" "$BITBUCKET_STEP_OIDC_TOKEN"; env | grep -c BITBUCKET || true`,
	})
	// Twice: the same deployment again comes to the same.
	for range 2 {
		s := w.newStep(t, issuertest.BitbucketJob{})
		before := s.tree(t)
		r := s.pipe(t, vars).ok(t, "INFO: certificate gatepass:example:01", "for deploy, until ",
			":"+w.port+": copied public to site/current: 2 files, ", ":"+w.port+": copied README.md to site/: 1 files, ",
			green+"Deployed to web-1.example.com:"+w.port+", web-2.example.com:"+w.port)
		for _, host := range everywhere {
			host += ":" + w.port
			r.ok(t, host+": hello world\n", host+": site/README.md site/current/bin/restart site/current/index.html it's\n"+host+": \n"+host+": 0\n", green+host+": done in ")
		}
		s.unchanged(t, before) // not a file of credentials, not for a moment after
	}
	// One host, and what it prints as it is.
	s := w.newStep(t, issuertest.BitbucketJob{})
	r := s.pipe(t, w.service(variables{"SSH_HOSTS": "deploy@web-2.example.com:" + w.port, "COMMAND": "cat site/current/index.html; exit 7"})).
		ended(t, 7, "\n<h1>Shop</h1>\n", red+"web-2.example.com:"+w.port+": exit status 7 after ", red+"Deployed to 0 of 1 hosts")
	r.without(t, "✔")

	// Credentials that an earlier pipe has left are not deployed.
	s = w.newStep(t, issuertest.BitbucketJob{})
	s.pipe(t, w.service(nil)).ok(t)
	for from, of := range map[string]string{".": ".gatepass", ".gatepass/identity": ".gatepass/identity", ".gatepass/identity/key": ".gatepass/identity"} {
		s.pipe(t, w.service(variables{"SSH_HOST": "web-1.example.com", "COPY": from + ":all"})).
			ended(t, 2, "COPY:\n- "+from+" has credentials in it, those of "+of)
	}
}

func script(t *testing.T, w *world) {
	s := w.newStep(t, issuertest.BitbucketJob{})
	before := s.tree(t)
	s.pipe(t, w.service(variables{"SSH_HOST": "web-1.example.com", "SSH_PORT": w.port, "SCRIPT": "../deploy.sh"}), "public").
		ok(t, "running ../deploy.sh", "it's|$(not run)|two  spaces| hello world from deploy\n", green)
	s.unchanged(t, before)

	worldtest.Must(t, os.WriteFile(filepath.Join(s.clone, "task.py"), []byte("#!/usr/bin/perl\nprint 1"), 0o600))
	s.pipe(t, w.service(variables{"SSH_HOST": "web-1.example.com", "SCRIPT": "task.py"})).
		ended(t, 2, "SCRIPT:\n- task.py is for /usr/bin/perl: only scripts of a shell or of Python are run")
	for _, big := range []string{strings.Repeat("true\n", 20000), strings.Repeat("x=''\n", 13000)} {
		worldtest.Must(t, os.WriteFile(filepath.Join(s.clone, "big.sh"), []byte(big), 0o600))
		s.pipe(t, w.service(variables{"SSH_HOST": "web-1.example.com", "SCRIPT": "big.sh"})).ended(t, 2, "SCRIPT:\n- big.sh is longer than ")
	}
	// The largest there can be still fits into a command line.
	large := "exit_with() { exit \"$1\"; }\n" + strings.Repeat("x=''\n", 8000) + strings.Repeat("true\n", 4900) + "echo all of it; exit_with 9\n"
	if len(large) > 64<<10 || len(large) < 63<<10 {
		t.Fatalf("the script has %d bytes", len(large))
	}
	worldtest.Must(t, os.WriteFile(filepath.Join(s.clone, "large.sh"), []byte(large), 0o600))
	next := w.newStep(t, issuertest.BitbucketJob{})
	next.clone = s.clone
	next.pipe(t, w.service(variables{"SSH_HOST": "web-1.example.com", "SSH_PORT": w.port, "SCRIPT": "large.sh"})).ended(t, 9, "all of it")
}

func failingHosts(t *testing.T, w *world) {
	bad := "deploy@" + w.plain.Addr()
	third := "deploy@web-1.example.com:" + w.port
	vars := func(more variables) variables {
		return w.service(variables{"SSH_HOST": []string{bad, third}, "COMMAND": "echo hello", "KEEP_GOING": more["KEEP_GOING"], "HOST_KEY": more["HOST_KEY"], "KNOWN_HOSTS": more["KNOWN_HOSTS"]})
	}
	none := variables{"KEEP_GOING": "", "HOST_KEY": "", "KNOWN_HOSTS": ""}
	with := func(name, value string) variables {
		all := variables{}
		for name := range none {
			all[name] = ""
		}
		all[name] = value
		return all
	}
	s := w.newStep(t, issuertest.BitbucketJob{})
	s.pipe(t, vars(none)).ended(t, 255, red+w.plain.Addr()+": host 127.0.0.1 is not trusted", "→ ", red+"web-1.example.com:"+w.port+": not tried", "Deployed to 0 of 2 hosts").without(t, "hello")
	s = w.newStep(t, issuertest.BitbucketJob{})
	s.pipe(t, vars(with("KEEP_GOING", "true"))).ended(t, 255, "web-1.example.com:"+w.port+": hello\n", green+"web-1.example.com:"+w.port, "Deployed to 1 of 2 hosts")
	// A host without a certificate is known by its key, as Bitbucket keeps it or by a pin.
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(w.plain.HostKey())))
	host, port, _ := strings.Cut(w.plain.Addr(), ":")
	s = w.newStep(t, issuertest.BitbucketJob{})
	worldtest.Must(t, os.WriteFile(filepath.Join(s.ssh, "known_hosts"), []byte("["+host+"]:"+port+" "+line+"\n"), 0o644))
	s.pipe(t, vars(with("KNOWN_HOSTS", sshDir+"/known_hosts"))).ok(t, green+"Deployed to ")
	s = w.newStep(t, issuertest.BitbucketJob{})
	s.pipe(t, vars(with("HOST_KEY", ssh.FingerprintSHA256(w.plain.HostKey())))).ended(t, 255, green+w.plain.Addr()+": done", "web-1.example.com", "is none of")
	// Nobody there, and a login that the certificate is not for.
	s = w.newStep(t, issuertest.BitbucketJob{})
	s.pipe(t, w.service(variables{"SSH_HOST": "127.0.0.1:1", "COMMAND": "true"})).ended(t, 255, "cannot be reached", "→ ")
	s = w.newStep(t, issuertest.BitbucketJob{})
	s.pipe(t, w.service(variables{"SSH_HOST": "web-1.example.com", "SSH_PORT": w.port, "SSH_USER": "root", "COMMAND": "true"})).
		ended(t, 255, `does not log in "root"`, "the certificate is for [deploy]")
}

// What would be code in a shell is a value, on the way into the container and out of it.
func hostileValues(t *testing.T, w *world) {
	const odd = "it's $(touch hacked) `touch hacked` \"x\" \\n; touch hacked"
	s := w.newStep(t, issuertest.BitbucketJob{})
	before := s.tree(t)
	for variable, says := range map[string]string{
		"TOKEN":        "token_not_found",
		"AUDIENCE":     `is not for audience "it's $(touch hacked)`,
		"ROLES":        "not_permitted",
		"SERVER":       "SERVER:\n- ",
		"TTL":          "TTL:\n- unallowed value",
		"OUTPUT":       "OUTPUT:\n- ",
		"OUTPUT_OWNER": "OUTPUT_OWNER:\n- unallowed value",
		"CA_FILE":      "no such file or directory",
		"DEBUG":        "DEBUG:\n- must be of boolean type",
		"SSH_HOST":     "is no host to log in to",
		"SCRIPT":       "no such file or directory",
		"COPY":         "COPY:\n- unallowed value",
		"SSH_USER":     "SSH_USER:\n- ",
	} {
		r := s.pipe(t, w.service(variables{variable: odd}))
		if r.status == 0 || !strings.Contains(r.log, says) {
			t.Errorf("%s: exit status %d, want %q in:\n%s", variable, r.status, says, r.log)
		}
	}
	// Of .gatepass the checks before a join are all that there may be.
	rest := func(tree []string) []string {
		return slices.DeleteFunc(tree, func(line string) bool { return strings.HasPrefix(line, "d") || strings.Contains(line, ".gatepass") })
	}
	if was, is := rest(before), rest(s.tree(t)); !slices.Equal(was, is) {
		t.Errorf("the clone was:\n%s\nand is:\n%s", strings.Join(was, "\n"), strings.Join(is, "\n"))
	}

	// A host that nobody else uses, so that all that there is at home is what came.
	vars := func(more variables) variables {
		maps.Copy(more, variables{"SSH_HOST": "deploy@" + w.plain.Addr(), "HOST_KEY": ssh.FingerprintSHA256(w.plain.HostKey())})
		return w.service(more)
	}
	s = w.newStep(t, issuertest.BitbucketJob{})
	worldtest.Must(t, os.WriteFile(filepath.Join(s.clone, odd), []byte("content\n"), 0o600))
	s.pipe(t, vars(variables{
		"COPY":    odd + ":odd/" + odd,
		"COMMAND": "cd odd; ls -N; cat *\nprintf '%s|' \"it's\" '$(touch hacked)' \"a\\\\b\"; echo; cd; ls\n# " + odd,
	})).ok(t, "\n"+odd+"\ncontent\nit's|$(touch hacked)|a\\b|\nodd\n\x1b[32m")

	s = w.newStep(t, issuertest.BitbucketJob{})
	worldtest.Must(t, os.WriteFile(filepath.Join(s.clone, odd), []byte("printf 'I am %s\\n' \"$0\"; ls"), 0o600))
	s.pipe(t, vars(variables{"SCRIPT": odd})).ok(t, "\nI am "+odd+"\nodd\n\x1b[32m")
}

// A stopped step sends its containers SIGTERM: the command on the host is told, further
// hosts are left alone, and the log says how far it came.
func stopped(t *testing.T, w *world) {
	s := w.newStep(t, issuertest.BitbucketJob{})
	args := s.podmanRun(s.clone, s.ssh, cloneDir, w.service(variables{
		"SSH_HOST": everywhere, "SSH_PORT": w.port, "KEEP_GOING": "true", "COMMAND": "trap 'echo told; exit 3' TERM; echo begun; while :; do sleep 0.1; done",
	}).flatten())
	run := slices.Index(args, "run")
	const name = "stopped"
	args = slices.Insert(args, run+1, "--name", name)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = w.environ
	out, err := cmd.StdoutPipe()
	worldtest.Must(t, err)
	cmd.Stderr = cmd.Stdout
	worldtest.Must(t, cmd.Start())
	var log strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		if strings.HasSuffix(lines.Text(), ": begun") {
			kill := exec.CommandContext(t.Context(), args[0], append(slices.Clone(args[1:run]), "kill", "--signal", "TERM", name)...)
			kill.Env = w.environ
			if out, err := kill.CombinedOutput(); err != nil {
				t.Errorf("%v %s", err, out)
			}
		}
	}
	_ = cmd.Wait()
	ran{cmd.ProcessState.ExitCode(), log.String()}.ended(t, 128+15, ": told\n", red+"web-2.example.com:"+w.port+": not tried", red+"Interrupted; deployed to 0 of 2 hosts")
}
