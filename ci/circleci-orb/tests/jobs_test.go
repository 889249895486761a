package tests

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

const jobHeader = "version: 2.1\norbs:\n  gatepass: " + address + "\n"

// jobWith is a configuration whose one job is a job of the orb.
func (w *world) jobWith(name, parameters string) string {
	return jobHeader + "workflows:\n  main:\n    jobs:\n      - gatepass/" + name + ":\n" +
		"          server: " + w.URL + "\n          token: shop-deploy\n          audience: " + audience + "\n" +
		"          " + strings.ReplaceAll(strings.TrimSpace(parameters), "\n", "\n          ") + "\n"
}

// testJobs runs the orb's jobs where something goes wrong, or is not as usual.
func (w *world) testJobs(t *testing.T) {
	tests := map[string]func(*testing.T){
		"logout runs although a step failed":            w.logoutAfterStep,
		"logout runs although the join failed":          w.logoutAfterJoin,
		"minting fails twice":                           w.mintingFails,
		"git and known hosts from the environment":      w.environmentOfSteps,
		"a parameter is text and nothing else":          w.textOnly,
		"deploy without a copy to two hosts":            w.deployToTwo,
		"a tampered client ends the job before it runs": w.tamperedClient,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func (w *world) logoutAfterStep(t *testing.T) {
	runner, output, err := w.run(t, w.jobWith("run", `
destination: creds
steps:
  - run: test -f creds/key
  - run: 'echo "kept $GATEPASS_IDENTITY_DIR"; exit 7'
  - run: echo not reached
`), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Fatalf("got %v, want the step's exit status 7\n%s", err, output)
	}
	if _, err := os.Stat(filepath.Join(runner.Project(), "creds")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the credentials are still there: %v", err)
	}
	if strings.Contains(output, "== echo not reached") || !strings.Contains(output, "kept "+runner.Project()+"/creds\n") {
		t.Errorf("it says\n%s", output)
	}
	nothingLeft(t, runner, output)
}

func (w *world) logoutAfterJoin(t *testing.T) {
	_, output, err := w.run(t, strings.Replace(w.jobWith("run", "steps: [run: echo not reached]"), "shop-deploy", "nobody", 1), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "token_not_found") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(output, "== Log out of Gatepass\nno credentials in ") || strings.Contains(output, "== echo not reached") {
		t.Errorf("it says\n%s", output)
	}
}

func (w *world) mintingFails(t *testing.T) {
	failures := worldtest.Write(t, t.TempDir(), "failures", "2")
	_, output, err := w.run(t, w.jobWith("run", "steps: [run: ssh -F \"$GATEPASS_SSH_CONFIG\" -p "+w.port(t)+" deploy@127.0.0.1 echo hello world]"),
		t.TempDir(), failuresVariable+"="+failures)
	if err != nil || !strings.Contains(output, "\nhello world\n") {
		t.Errorf("%v\n%s", err, output)
	}
}

func (w *world) environmentOfSteps(t *testing.T) {
	_, output, err := w.run(t, w.jobWith("run", `
destination: "it's $(touch pwned) here"
steps:
  - run: (git ls-remote ssh://deploy@127.0.0.1:`+w.port(t)+`/no || true) 2>&1 | grep -F "'/no' does not appear to be a git repository"
  - run: test "$GATEPASS_KNOWN_HOSTS" = "$PWD/it's \$(touch pwned) here/known_hosts" && test ! -e pwned
`), t.TempDir())
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

func (w *world) textOnly(t *testing.T) {
	_, output, err := w.run(t, w.jobWith("run", `
destination: "a b $(touch pwned) ; touch pwned & it's ${EMPTY}"
steps:
  - run: test ! -e pwned && test -f "a b \$(touch pwned) ; touch pwned & it's /key"
`), t.TempDir())
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

func (w *world) deployToTwo(t *testing.T) {
	runner, output, err := w.run(t, w.jobWith("deploy", `
checkout: false
hosts: |
  127.0.0.1:`+w.port(t)+`

  deploy@`+w.host.Addr()+`
login: deploy
command: |
  echo "I am $(id -un)"
`), t.TempDir())
	if err != nil || strings.Count(output, "I am deploy\n") != 2 {
		t.Errorf("%v\n%s", err, output)
	}
	if entries, _ := os.ReadDir(runner.Project()); len(entries) > 0 {
		t.Errorf("it leaves %v", entries)
	}
}

func (w *world) tamperedClient(t *testing.T) {
	runner, output, err := w.run(t, w.jobWith("run", "base_url: "+w.releases.URL+"/tampered\nsteps: [run: echo not reached]"), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "it was removed and has not been run") {
		t.Errorf("%v\n%s", err, output)
	}
	if _, err := os.Stat(filepath.Join(runner.Home(), "it-ran")); err == nil {
		t.Error("it ran")
	}
}
