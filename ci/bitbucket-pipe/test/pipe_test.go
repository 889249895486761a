package test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

const (
	green = "\x1b[32m✔ "
	red   = "\x1b[31m✖ "
)

// login is the line of a script that uses an identity.
const login = `ssh -F "$GATEPASS_SSH_CONFIG" deploy@host.example.com 'echo hello world from $(whoami)'`

func TestPipe(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]func(*testing.T, *world){
		"the archive":                archive,
		"credentials for the script": credentials,
		"run-as-user":                runAsUser,
		"a pipe that is not root":    notRoot,
		"several outputs":            severalOutputs,
		"a folder with a hard name":  hardName,
		"a service of one's own CA":  privateCA,
		"refusals":                   refusals,
		"wrong variables":            wrongVariables,
		"planted links":              plantedLinks,
		"a deployment":               deployment,
		"a script":                   script,
		"values that are code":       hostileValues,
		"a step that is stopped":     stopped,
		"hosts that fail":            failingHosts,
		"debugging":                  debugging,
		"the guide":                  guide,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, w) })
	}
}

func credentials(t *testing.T, w *world) {
	s := w.newStep(t, issuertest.BitbucketJob{})
	before := s.tree(t)
	s.pipe(t, w.service(nil)).ok(t, "INFO: join 01", "bot example", "identity for deploy: "+cloneDir+"/.gatepass/identity",
		green+"Credentials are there", ". "+cloneDir+"/.gatepass/activate\x1b[0m\n")
	s.private(t, ".gatepass", 0)
	if config, err := os.ReadFile(filepath.Join(s.clone, ".gatepass/identity/ssh_config")); err != nil || !strings.Contains(string(config), `IdentityFile "`+cloneDir+`/.gatepass/identity/key"`) {
		t.Errorf("ssh_config: %v\n%s", err, config)
	}
	s.lines(t, ". ./.gatepass/activate", login, "cd public", login, `ssh -F ../.gatepass/identity/ssh_config deploy@host.example.com true`,
		`test ! -e "$BITBUCKET_PIPELINES_VARIABLES_PATH" && echo "$GATEPASS_BOT until $GATEPASS_EXPIRES_AT"`).
		ok(t, "hello world from deploy\nhello world from deploy\n", "example until 20")

	// A later pipe of the same step: a join for each ID token, and the token is spent.
	s.pipe(t, w.service(nil)).ended(t, 3, "id_token_already_used", "→ ")
	s.lines(t, ". ./.gatepass/activate", login).ok(t, "hello world")

	s.pipe(t, variables{"CLEANUP": "true"}).ok(t, green+"Removed the credentials in "+cloneDir+"/.gatepass")
	s.unchanged(t, before)
	s.pipe(t, variables{"CLEANUP": "true"}).ok(t, green+"There are no credentials")

	// A pipe that was killed has written a key, and no link to it.
	s = w.newStep(t, issuertest.BitbucketJob{})
	s.pipe(t, w.service(nil)).ok(t)
	worldtest.Must(t, os.Remove(filepath.Join(s.clone, ".gatepass/identity/.gatepass/current")))
	s.pipe(t, variables{"CLEANUP": "true"}).ok(t, green+"Removed")
	s.unchanged(t, before)
}

func runAsUser(t *testing.T, w *world) {
	s := w.newStep(t, issuertest.BitbucketJob{})
	s.user = nobody
	worldtest.Output(t, "chown", "-R", fmt.Sprint(nobody, ":", nobody), s.clone)
	before := s.tree(t)
	s.pipe(t, w.service(variables{"OUTPUT_OWNER": fmt.Sprint(nobody, ":", nobody)})).ok(t)
	s.private(t, ".gatepass", nobody)
	s.lines(t, "id -u", ". ./.gatepass/activate", login).ok(t, "65534\nhello world from deploy")
	s.pipe(t, variables{"CLEANUP": "true"}).ok(t, green+"Removed")
	s.unchanged(t, before)

	// Without it the files are root's, and the script is told so by the system.
	s = w.newStep(t, issuertest.BitbucketJob{})
	s.user = nobody
	s.pipe(t, w.service(nil)).ok(t)
	s.lines(t, ". ./.gatepass/activate").ended(t, 1, "Permission denied")
}

func notRoot(t *testing.T, w *world) {
	s := w.newStep(t, issuertest.BitbucketJob{})
	s.user, s.root = nobody, nobody
	s.pipe(t, w.service(nil)).ended(t, 1, "destination "+cloneDir+"/.gatepass: mkdir", "permission denied")
	worldtest.Output(t, "chown", "-R", fmt.Sprint(nobody, ":", nobody), s.clone)
	s.pipe(t, w.service(nil)).ok(t, green)
	s.private(t, ".gatepass", nobody)
	s.lines(t, ". ./.gatepass/activate", login).ok(t, "hello world from deploy")
}

func severalOutputs(t *testing.T, w *world) {
	s := w.newStep(t, issuertest.BitbucketJob{})
	before := s.tree(t)
	s.pipe(t, w.service(variables{"TTL": "10m", "OUTPUT": []string{
		"identity,ssh-hosts=host.example.com",
		"database,username=app,database=orders",
		"database,username=app,destination=plain-db,server-ca=" + sshDir + "/ca.pem",
		"jwt,jwt-audience=https://vault.example.com",
	}})).ended(t, 2, red+"Validation errors: \nOUTPUT:\n- reading server-ca: open "+sshDir+"/ca.pem: no such file or directory")
	worldtest.Must(t, os.WriteFile(filepath.Join(s.ssh, "ca.pem"), w.privateCA(t), 0o644))
	s.pipe(t, w.service(variables{"TTL": "10m", "OUTPUT": []string{
		"identity,ssh-hosts=host.example.com",
		"database,username=app,database=orders",
		"database,username=app,destination=plain-db,server-ca=" + sshDir + "/ca.pem",
		"jwt,jwt-audience=https://vault.example.com",
	}})).ok(t, "/.gatepass/plain-db", "jwt for bot:example").without(t, "in 14m", "in 15m")
	s.private(t, ".gatepass", 0)
	s.lines(t, "env > before", ". ./.gatepass/activate", login, `cd /; test -s "$PGSSLKEY" && test -s "$GATEPASS_JWT_DIR/jwt"`,
		`openssl x509 -in "$PGSSLCERT" -noout -subject -nameopt RFC2253`, `cmp "$GATEPASS_DATABASE_DIR/tls.crt" "$PGSSLCERT"`,
		`cmp "$BITBUCKET_CLONE_DIR/.gatepass/plain-db/tls.cas" "$BITBUCKET_CLONE_DIR/../ssh/ca.pem"`,
		`cd "$BITBUCKET_CLONE_DIR"; env | cut -d= -f1 | grep -vxFf <(cut -d= -f1 before) | sort | paste -sd' '; rm before`).
		ok(t, "hello world", "CN=app,OU=orders", "GATEPASS_BOT GATEPASS_DATABASE_DIR GATEPASS_EXPIRES_AT GATEPASS_IDENTITY_DIR GATEPASS_JOIN_ID "+
			"GATEPASS_JWT_DIR GATEPASS_KNOWN_HOSTS GATEPASS_SSH_CONFIG PGDATABASE PGSSLCERT PGSSLKEY PGSSLMODE PGSSLROOTCERT PGUSER\n")
	s.pipe(t, variables{"CLEANUP": "true"}).ok(t, green+"Removed")
	s.unchanged(t, before)
}

// A name that would be a command, were the script of activate to expand anything.
func hardName(t *testing.T, w *world) {
	s := w.newStep(t, issuertest.BitbucketJob{})
	const name = "it's a $(touch hacked) `touch hacked` dir"
	s.pipe(t, w.service(variables{"DESTINATION": name}), "public").ok(t, green)
	s.lines(t, "cd public", `. "it's a \$(touch hacked) \`+"`touch hacked\\`"+` dir/activate"`, login, "ls").ok(t, "hello world").without(t, "\nhacked")
	s.pipe(t, variables{"CLEANUP": "true", "DESTINATION": name}, "public").ok(t, green+"Removed")
}

func privateCA(t *testing.T, w *world) {
	s := w.newStep(t, issuertest.BitbucketJob{})
	vars := variables{"SERVER": w.private, "TOKEN": "example-bot"}
	s.pipe(t, vars).ended(t, 4, red, "certificate signed by unknown authority")
	worldtest.Must(t, os.WriteFile(filepath.Join(s.clone, "public/ca.pem"), w.privateCA(t), 0o600))
	vars["CA_FILE"] = "ca.pem"
	s.pipe(t, vars).ended(t, 2, "CA_FILE:\n- ca.pem: no such file or directory\n")
	s.pipe(t, vars, "public").ok(t, green)
}

func refusals(t *testing.T, w *world) {
	audience := []string{"https://" + join}
	for name, test := range map[string]struct {
		job    issuertest.BitbucketJob
		vars   variables
		env    map[string]string
		status int
		says   []string
	}{
		"another branch": {
			issuertest.BitbucketJob{BranchName: "feature/x"}, nil, nil, 3,
			[]string{red + "no allow rule matches this job (no_rule_matched, join 01", "this job presented:", "branch_name", "feature/x   <- no rule accepts this", "→ "},
		},
		"another repository": {
			issuertest.BitbucketJob{RepositoryUUID: "{00000000-44a1-4b9d-9f4e-1f7d2f2a6b2c}"}, nil, nil, 3, []string{"no_rule_matched"},
		},
		"no such token rule":   {issuertest.BitbucketJob{}, variables{"TOKEN": "other"}, nil, 3, []string{"token_not_found", "→ "}},
		"the default audience": {issuertest.BitbucketJob{Audience: []string{"ari:cloud:bitbucket::workspace/x"}}, nil, nil, 3, []string{"id_token_wrong_audience", "oidc: {audiences: ["}},
		"the default audience, seen here": {
			issuertest.BitbucketJob{Audience: []string{"ari:cloud:bitbucket::workspace/x"}}, variables{"AUDIENCE": audience[0]}, nil, 2,
			[]string{red + "Validation errors: \nBITBUCKET_STEP_OIDC_TOKEN:\n- the ID token from BITBUCKET_STEP_OIDC_TOKEN is not for audience \"" + audience[0] + "\"; Bitbucket: write `oidc: {audiences: [\"" + audience[0] + "\"]}`"},
		},
		"no oidc": {
			issuertest.BitbucketJob{}, nil, map[string]string{"BITBUCKET_STEP_OIDC_TOKEN": ""}, 2,
			[]string{"BITBUCKET_STEP_OIDC_TOKEN:\n- required field: write `oidc: true` in this step of bitbucket-pipelines.yml, beside `script:`\n"},
		},
		"no oidc, with an audience": {
			issuertest.BitbucketJob{}, variables{"AUDIENCE": audience[0]}, map[string]string{"BITBUCKET_STEP_OIDC_TOKEN": ""}, 2,
			[]string{"- required field: write `oidc: {audiences: [\"" + audience[0] + "\"]}` in this step"},
		},
		"no such role": {issuertest.BitbucketJob{}, variables{"ROLES": "other", "SSH_HOST": "host.example.com", "COMMAND": "true"}, nil, 3, []string{"not_permitted"}},
		"no grant":     {issuertest.BitbucketJob{}, variables{"OUTPUT": "database,username=postgres"}, nil, 3, []string{"not_permitted"}},
		"no service":   {issuertest.BitbucketJob{}, variables{"SERVER": busy(t), "CLEANUP": "false"}, nil, 4, []string{"INFO: ", "trying again in 1s\x1b[0m\n" + red, "store_unavailable"}},
		"no database":  {issuertest.BitbucketJob{}, variables{"OUTPUT": "database"}, nil, 2, []string{"OUTPUT:\n- username is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := w.newStep(t, test.job)
			for name, value := range test.env {
				s.env[name] = value
			}
			r := s.pipe(t, w.service(test.vars)).ended(t, test.status, test.says...)
			r.without(t, "✔")
			if found := worldtest.Output(t, "find", s.clone, "-name", "key", "-o", "-name", activate, "-o", "-name", "tls.key"); found != "" {
				t.Errorf("a refused join left %s", found)
			}
		})
	}
}

// busy is a service that is away, first for a second and then for longer than a job waits.
func busy(t *testing.T) string {
	t.Helper()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		wait := "1"
		if asked.Add(1) > 1 {
			wait = "1000"
		}
		w.Header().Set("Retry-After", wait)
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"status": 503, "code": "store_unavailable", "detail": "the store does not answer"}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const activate = "activate"

// Everything that is wrong is in one list.
func wrongVariables(t *testing.T, w *world) {
	s := w.newStep(t, issuertest.BitbucketJob{})
	before := s.tree(t)
	r := s.pipe(t, variables{
		"SERVER": "http://join.example.com", "TLL": "5m", "TTL": "soon", "AUDIENCE": "$MY_AUDIENCE", "DEBUG": "perhaps",
		"SSH_HOST": []string{"web-1.example.com", "-oProxyCommand=x"}, "SSH_PORT": "ssh", "COMMAND": "x", "SCRIPT": "../deploy.sh", "COPY": "public",
		"OUTPUT": "identity", "KNOWN_HOSTS": "known_hosts", "TOKEN": "a\nb", "HOST_KEY": "x", "SSH_USER": "a b",
	}).ended(t, 2, red+`Validation errors: 
AUDIENCE:
- its value is $MY_AUDIENCE itself: that variable is not set for this repository, workspace or deployment environment
COMMAND:
- 'COMMAND' must not be present with 'SCRIPT': write the command into the script, or use two pipes
COPY:
- unallowed value "public": write FROM:TO, such as public:/srv/www, a path in the clone and one on the host
DEBUG:
- must be of boolean type: write 'true' or 'false'
HOST_KEY:
- `, `
KNOWN_HOSTS:
- known_hosts: no such file or directory
OUTPUT:
- 'OUTPUT' must not be present with 'SSH_HOST': a deployment leaves no files
SCRIPT:
- ../deploy.sh is outside of the clone, `+cloneDir+`: a pipe sees nothing else of the step
SERVER:
- the server's address http://join.example.com would send the ID token unencrypted; use https://join.example.com
SSH_HOST:
- "-oProxyCommand=x" is no host to log in to`, `
SSH_PORT:
- must be a number from 1 to 65535
SSH_USER:
- unallowed value "a b": write the login's name, such as deploy
TLL:
- unknown field: did you mean TTL?
TOKEN:
- must be one line without control characters
TTL:
- unallowed value "soon": write a time such as 15m or 1h
`)
	r.without(t, "✔", "--")
	s.unchanged(t, before)
}

func plantedLinks(t *testing.T, w *world) {
	outside := filepath.Join(w.dir, "outside-"+rand.Text())
	worldtest.Must(t, os.Mkdir(outside, 0o700))
	for name, test := range map[string]struct {
		links map[string]string // name to target
		vars  variables
		says  string
	}{
		"the destination":                    {map[string]string{".gatepass": sshDir}, nil, "DESTINATION:\n- .gatepass is a symbolic link in the clone"},
		"the destination, inside":            {map[string]string{".gatepass": "public"}, nil, "DESTINATION:\n- .gatepass is a symbolic link in the clone"},
		"above the destination":              {map[string]string{"ci": "public"}, variables{"DESTINATION": "ci/id"}, "DESTINATION:\n- ci is a symbolic link in the clone"},
		"a script":                           {map[string]string{"s.sh": "/proc/self/environ"}, variables{"SSH_HOST": "host.example.com", "SCRIPT": "s.sh"}, "SCRIPT:\n- s.sh: path escapes from parent"},
		"what is copied":                     {map[string]string{"www": "/proc/self"}, variables{"SSH_HOST": "host.example.com", "COPY": "www:www"}, "COPY:\n- www: path escapes from parent"},
		"the authority":                      {map[string]string{"ca.pem": "/etc/ssl/certs/ca-certificates.crt"}, variables{"CA_FILE": "ca.pem"}, "CA_FILE:\n- ca.pem: path escapes from parent"},
		"what an output reads":               {map[string]string{"ca.pem": "/etc/ssl/certs/ca-certificates.crt"}, variables{"OUTPUT": "database,username=app,server-ca=ca.pem"}, "OUTPUT:\n- server-ca: ca.pem: path escapes from parent"},
		"the hosts that an output knows":     {map[string]string{"known": sshDir + "/known_hosts"}, variables{"OUTPUT": "identity,known-hosts=known"}, "OUTPUT:\n- known-hosts: known: path escapes from parent"},
		"a destination that is the clone":    {nil, variables{"DESTINATION": "."}, "DESTINATION:\n- must be a folder of its own inside the clone"},
		"a destination outside":              {nil, variables{"DESTINATION": "../ssh"}, "DESTINATION:\n- must be a folder of its own inside the clone"},
		"a destination outside, by its root": {nil, variables{"DESTINATION": "/root"}, "DESTINATION:\n- must be a folder of its own inside the clone"},
		"an output's folder outside":         {nil, variables{"OUTPUT": "identity,destination=../../x"}, "OUTPUT:\n- destination=../../x is no name of a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.newStep(t, issuertest.BitbucketJob{})
			for link, target := range test.links {
				worldtest.Must(t, os.Symlink(target, filepath.Join(s.clone, link)))
			}
			before := s.tree(t)
			s.pipe(t, w.service(test.vars)).ended(t, 2, red+"Validation errors: ", test.says)
			s.unchanged(t, before)
		})
	}
	// An output's own folder is looked at when it is written: nothing goes through the link.
	s := w.newStep(t, issuertest.BitbucketJob{})
	worldtest.Must(t, os.Mkdir(filepath.Join(s.clone, ".gatepass"), 0o700))
	worldtest.Must(t, os.Symlink("../public", filepath.Join(s.clone, ".gatepass/identity")))
	s.pipe(t, w.service(nil)).ended(t, 1, "leads through the symbolic link "+cloneDir+"/.gatepass/identity", "→ remove the link")
	if left := worldtest.Output(t, "find", filepath.Join(s.clone, "public"), "-name", "key*"); left != "" {
		t.Errorf("it was written through the link: %s", left)
	}
	// The ID token was not spent on it.
	worldtest.Must(t, os.Remove(filepath.Join(s.clone, ".gatepass/identity")))
	s.pipe(t, w.service(nil)).ok(t, green)
	// What is cleaned up is the destination: nothing that a link in it leads to.
	worldtest.Must(t, os.Rename(filepath.Join(s.clone, ".gatepass/identity"), filepath.Join(s.clone, "other")))
	worldtest.Must(t, os.Symlink("../other", filepath.Join(s.clone, ".gatepass/identity")))
	s.pipe(t, variables{"CLEANUP": "true"}).ok(t, "left what gatepass did not write: "+cloneDir+"/.gatepass/identity")
	if _, err := os.Stat(filepath.Join(s.clone, "other/key")); err != nil {
		t.Error(err)
	}
}

func debugging(t *testing.T, w *world) {
	s := w.newStep(t, issuertest.BitbucketJob{})
	s.pipe(t, w.service(variables{"DEBUG": "TRUE"})).ok(t, "DEBUG: ", "BITBUCKET_STEP_OIDC_TOKEN", "branchName", "issued ", "clock", green)
}
