package golden_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/test/golden"
)

func TestMain(m *testing.M) {
	// The version that programs print is then the same at every commit.
	if err := os.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -buildvcs=false")); err != nil {
		panic(err)
	}
	worldtest.Main(m)
}

// outputs are commands of the client, by name. Each runs in a directory of its own, with
// an ID token of its own, and all that it writes and prints is compared. A word ";" is
// where another command begins.
var outputs = []struct {
	name string
	args string
	env  []string
}{
	{name: "identity", args: "join --destination id"},
	{name: "identity-hosts", args: "join identity --destination id --ssh-hosts *.prod.example.com --ssh-hosts 10.0.0.? --known-hosts hosts --roles other --ttl 5m --report json"},
	{name: "database", args: "join database --destination db --username app --database orders --server-ca ca.pem"},
	{name: "database-json", args: "join database --destination db --username app --report json --server-ca ca.pem"},
	{name: "database-mongo", args: "join database --destination db --username app --format mongo --server-ca ca.pem"},
	{name: "database-cockroach", args: "join database --destination db --username app --format cockroach --server-ca ca.pem"},
	{name: "database-mysql", args: "join database --destination db --username app --database orders --format mysql --server-ca ca.pem"},
	{name: "database-pkcs12", args: "join database --destination db --username app --format pkcs12 --server-ca ca.pem"},
	{name: "database-then-another", args: "join database --destination db --username app --server-ca ca.pem ; join database --destination db --username app --format mongo --server-ca ca.pem"},
	{name: "application", args: "join application --destination app --app grafana --server-ca ca.pem"},
	{name: "jwt", args: "join jwt --destination token --jwt-audience https://vault.example.com"},
	{name: "kubernetes", args: "join kubernetes --destination k8s --kubernetes-server https://10.0.0.1:6443 --kubernetes-ca ca.pem --kubernetes-user ci --namespace shop --kubernetes-cluster prod"},
	{name: "kubernetes-exec", args: "join kubernetes --destination k8s --kubernetes-server https://10.0.0.1:6443 --kubernetes-user ci --exec-plugin ; kube-credentials k8s"},
	{name: "kubernetes-jwt", args: "join kubernetes --destination k8s --kubernetes-server https://10.0.0.1:6443 --kubernetes-ca ca.pem --auth jwt --jwt-audience cluster"},
	{name: "kubernetes-jwt-exec", args: "join kubernetes --destination k8s --kubernetes-server https://10.0.0.1:6443 --kubernetes-ca ca.pem --auth jwt --jwt-audience cluster --exec-plugin ; kube-credentials k8s"},
	{name: "also", args: "join identity --destination many/id --also database,destination=many/db,username=app,server-ca=ca.pem --also jwt,destination=many/token,jwt-audience=cluster --also identity,destination=memory:// --report json"},
	{name: "start", args: "start identity --destination=./tbot-user --join-method=bitbucket --oneshot --certificate-ttl 10m"},
	{name: "start-file", args: "start -c all.yaml"},
	{name: "configure", args: "configure identity --server join.example.com:443 --token example-bot --oneshot --destination ./id --also database,destination=./db,username=app -o made.yaml"},
	{name: "logout", args: "join identity --destination id ; logout id"},
	{name: "inspect", args: "join identity --destination id ; inspect id ; inspect --format json id"},
	{name: "exec", args: "exec --known-hosts hosts --also database,username=app,database=orders,server-ca=ca.pem --also jwt,jwt-audience=cluster --also application,app=grafana,server-ca=ca.pem --also kubernetes,kubernetes-server=https://k,kubernetes-ca=ca.pem,kubernetes-user=ci -- sh -c SHOW"},
	{name: "pipe", args: "pipe", env: []string{"OUTPUT=identity\ndatabase,username=app,database=orders,server-ca=ca.pem\njwt,jwt-audience=cluster"}},
	{name: "pipe-one", args: "pipe", env: []string{"OUTPUT=application,app=grafana,server-ca=ca.pem", "TTL=5m"}},
	{name: "pipe-wrong", args: "pipe", env: []string{"OUTPUT=databse", "TLL=5m"}},
	{name: "refused", args: "join database --destination db --username postgres --server-ca ca.pem"},
	{name: "refused-json", args: "join jwt --destination token --jwt-audience https://elsewhere.example.com --report json"},
	{name: "doctor", args: "doctor"},
	{name: "doctor-json", args: "doctor --report json"},
}

// showEnvironment prints what a command of exec has: variables, and then the files beside them.
const showEnvironment = `env | grep -E "^(GATEPASS|SSH|GIT|PG|KUBE|MYSQL)" | sort; cp -RP "$(dirname "$GATEPASS_LOGIN_DIR")" copy`

// TestOutputs compares the files that the client writes, and what it prints about them.
func TestOutputs(t *testing.T) {
	a := golden.Open(t, "outputs")
	w := worldtest.Local(t)
	w.Apply(string(a.Input("rules.yaml")))
	inputs := map[string][]byte{"all.yaml": a.Input("all.yaml"), "ca.pem": a.Input("ca.pem"), "hosts": []byte("# ours\ngit.example.com " + hostKey + "\n")}
	texts := make([][]byte, len(outputs))
	t.Run("run", func(t *testing.T) {
		for i, o := range outputs {
			t.Run(o.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				for name, content := range inputs {
					must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
				}
				texts[i] = runOutput(t, w, dir, strings.Fields(o.args), o.env)
				for name := range inputs {
					must(t, os.Remove(filepath.Join(dir, name)))
				}
				texts[i] = append(texts[i], normal(filesText(t, dir), w.URL, dir)...)
			})
		}
	})
	for i, o := range outputs {
		a.Compare(o.name+".txt", texts[i])
	}
}

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHcnWXTyDmN4fbXzfv2fGqgGzzYcBJcxQvvMvBPbhAzM"

// runOutput runs the commands, and tells what they print and how they end.
func runOutput(t *testing.T, w *worldtest.World, dir string, words, env []string) []byte {
	t.Helper()
	var out bytes.Buffer
	for len(words) > 0 {
		n := slices.Index(words, ";")
		if n < 0 {
			n = len(words)
		}
		args := slices.Clone(words[:n])
		words = words[min(n+1, len(words)):]
		if args[len(args)-1] == "SHOW" {
			args[len(args)-1] = showEnvironment
		}
		cmd := w.Gatepass(t, "example-bot", args...)
		cmd.Dir = dir
		cmd.Env = append(w.Step("example-bot"), "PATH="+os.Getenv("PATH"), "HOME="+dir, "BITBUCKET_CLONE_DIR="+dir)
		if args[0] == "pipe" { // which takes variables of other names, and no others
			cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "GATEPASS_") })
			cmd.Env = append(cmd.Env, "SERVER="+w.URL, "TOKEN=example-bot")
		}
		cmd.Env = append(cmd.Env, env...)
		ran := worldtest.Run(t, cmd)
		fmt.Fprintf(&out, "$ gatepass %s\nexit status %d\n", strings.Join(args, " "), ran.Status)
		fmt.Fprintf(&out, "stdout:\n%sstderr:\n%s", normal(ran.Stdout, w.URL, dir), normal(ran.Stderr, w.URL, dir))
	}
	return out.Bytes()
}

// filesText are all files in a directory: mode, and what they hold.
func filesText(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&out, "--- %s %s", info.Mode(), name)
		switch {
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			fmt.Fprintf(&out, " -> %s\n", target)
			return err
		case !info.Mode().IsRegular():
			out.WriteString("\n")
			return nil
		}
		content, err := os.ReadFile(path)
		if strings.HasSuffix(path, ".p12") {
			content = []byte(keyStore(path, content))
		}
		fmt.Fprintf(&out, "\n%s\n", content)
		return err
	}))
	return out.String()
}

// keyStore says what a PKCS#12 file holds.
func keyStore(path string, content []byte) string {
	password, err := os.ReadFile(filepath.Join(filepath.Dir(path), "keystore.password"))
	if err != nil {
		return err.Error()
	}
	password = bytes.TrimSpace(password)
	if key, c, chain, err := pkcs12.DecodeChain(content, string(password)); err == nil {
		return fmt.Sprintf("<PKCS#12 key %T, %s, %d more>", key, golden.Certificate(c), len(chain))
	}
	all, err := pkcs12.DecodeTrustStore(content, string(password))
	if err != nil {
		return err.Error()
	}
	said := "<PKCS#12 trusted"
	for _, c := range all {
		said += " " + golden.Certificate(c)
	}
	return said + ">"
}

// What is random in these texts beside keys, certificates and tokens.
var randoms = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)?`), "(time)"},
	{regexp.MustCompile(`\bset-[a-z2-7]{26}\b`), "set-(random)"},
	{regexp.MustCompile(`\bgatepass-exec-[0-9]+\b`), "gatepass-exec-(random)"},
	{regexp.MustCompile(`(?m)^[a-z2-7]{32}$`), "(password)"},
	{regexp.MustCompile(`(serial"?:? +"?)[0-9a-f]{6,}`), "$1(serial)"},
	{regexp.MustCompile(`(\bin|\bissued|\(time\),) ([0-9]+h)?([0-9]+m)?[0-9]+m?s\b`), "$1 (duration)"},
	{regexp.MustCompile(`("?\b(exp|iat|remaining_seconds)"?:? *)[0-9]+`), "$1(number)"},
	{regexp.MustCompile(`\b([0-9]+m)?[0-9]+s ago\b`), "(duration) ago"},
	{regexp.MustCompile(`\b([0-9A-F]{2}:){31}[0-9A-F]{2}\b`), "(fingerprint)"},
	{regexp.MustCompile(`(?m)^(jwt +|        ")[0-9A-Za-z_-]{43}("?)$`), "$1(kid)$2"},
	{regexp.MustCompile(`(?m)(\(time\)  )[0-9a-f]{6,}$`), "$1(serial)"},
	{regexp.MustCompile(`\bkid [0-9A-Za-z_-]{43}`), "kid (kid)"},
	{regexp.MustCompile(`\b(ssh-user)-[0-9a-f]{16}\b`), "$1-(random)"},
	{regexp.MustCompile(`SHA256:[0-9A-Za-z+/]{43}`), "SHA256:(fingerprint)"},
	{regexp.MustCompile(`/[^ "'\n]*/gatepass-test-bin-[0-9]+`), "(bin)"},
}

func normal(text, server, dir string) string {
	text = golden.Text(text, issuertest.WorkspaceUUID, issuertest.RepositoryUUID)
	text = strings.ReplaceAll(text, server, "(server)")
	text = strings.ReplaceAll(text, strings.TrimPrefix(server, "http://"), "(server)")
	text = strings.ReplaceAll(text, dir, "(dir)")
	text = strings.ReplaceAll(text, runtime.GOOS+"/"+runtime.GOARCH, "(platform)")
	text = strings.ReplaceAll(text, `"`+runtime.GOOS+`"`, `"(os)"`)
	text = strings.ReplaceAll(text, `"`+runtime.GOARCH+`"`, `"(arch)"`)
	text = regexp.MustCompile(`(\b(os|arch): )(`+runtime.GOOS+"|"+runtime.GOARCH+`)\b`).ReplaceAllString(text, "$1($2)")
	for _, r := range randoms {
		text = r.pattern.ReplaceAllString(text, r.with)
	}
	return text
}
