package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestMain(m *testing.M) {
	testscript.Main(cleaned{m}, map[string]func(){"gatepass": main})
}

// cleaned removes the built program after the tests.
type cleaned struct{ testscript.TestingM }

func (c cleaned) Run() int {
	defer func() {
		if builtIn != "" {
			os.RemoveAll(builtIn)
		}
	}()
	return c.TestingM.Run()
}

// TestScripts runs the real binary as testdata/*.txt tell.
func TestScripts(t *testing.T) {
	for _, tool := range []string{"ssh", "ssh-keygen", "openssl", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is missing", tool)
			}
			t.Skipf("%s is missing", tool)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			s := newService(t, false)
			env.Values["service"] = s
			for name, value := range map[string]string{
				"SERVER": strings.TrimPrefix(s.URL, "http://"), "IDTOKEN": idToken("x"), "SECRET": strings.Split(idToken("x"), ".")[2],
			} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fault":    func(ts *testscript.TestScript, _ bool, args []string) { serviceOf(ts).setFaults(args...) },
			"mint":     mint,
			"sent":     sent,
			"status":   status,
			"secretly": secretly,
		},
	})
}

func serviceOf(ts *testscript.TestScript) *service { return ts.Value("service").(*service) }

// sent TEXT: the last request contains the text.
func sent(ts *testscript.TestScript, neg bool, args []string) {
	all := serviceOf(ts).requests()
	if len(all) == 0 {
		if !neg {
			ts.Fatalf("no request was sent")
		}
		return
	}
	if got := strings.Contains(string(all[len(all)-1]), args[0]); got == neg {
		ts.Fatalf("last request contains %q: %v", args[0], got)
	}
}

// mint AGE LIFETIME AUDIENCE CLAIMS: writes an ID token to the file token, with
// times in seconds and the rest as JSON.
func mint(ts *testscript.TestScript, _ bool, args []string) {
	age, err := time.ParseDuration(args[0] + "s")
	ts.Check(err)
	lifetime, err := time.ParseDuration(args[1] + "s")
	ts.Check(err)
	issued := time.Now().Add(-age)
	payload := fmt.Sprintf(`{"iss":"https://issuer.example","sub":"job","aud":%s,"iat":%d,"exp":%d,%s}`,
		args[2], issued.Unix(), issued.Add(lifetime).Unix(), args[3])
	part := base64.RawURLEncoding.EncodeToString
	token := part([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + part([]byte(payload)) + "." + ts.Getenv("SECRET")
	ts.Check(os.WriteFile(ts.MkAbs("token"), []byte(token), 0o600))
}

// status N COMMAND…: the command ends with this exit status and shows no secret.
func status(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if exit, ok := err.(*exec.ExitError); ok {
		got = strings.TrimPrefix(exit.String(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
	secretly(ts, false, nil)
}

// secretly: the last output holds neither the ID token nor a private key.
func secretly(ts *testscript.TestScript, _ bool, _ []string) {
	out := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	for _, secret := range []string{ts.Getenv("SECRET"), "PRIVATE KEY"} {
		if strings.Contains(out, secret) {
			ts.Fatalf("a secret is in the output")
		}
	}
}
