package pipe

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/ssh"
)

// checkout is a clone with a folder, files, and links in and out of it.
func checkout(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"public/index.html": "<h1>", "deploy.sh": "#!/bin/bash -eu\necho it's done\n", "task.py": "#!/usr/bin/env python3\n", "plain": "ls\n",
		"run.pl": "#!/usr/bin/perl\n", "odd.sh": "#!/bin/sh -c 'x'\n", "env.sh": "#!/usr/bin/env\n", "binary.sh": "a\x00b", "ca.pem": "x", "known_hosts": "x",
		".gatepass/identity/.gatepass/set-1/key": "secret",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"set": ".gatepass/identity/.gatepass/current", "key.sh": "set/key", "in.sh": "deploy.sh", "out.sh": "/etc/passwd", "up.sh": "../x", "www": "public", ".gatepass/identity/.gatepass/current": "set-1",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// parse reads variables in a clone, SERVER and TOKEN besides, if they are not given.
func parse(clone, workdir string, vars map[string]string) (*Plan, *Problems) {
	all := map[string]string{varServer: "https://join.example.com", varToken: "example-bot", varCloneDir: clone, "PATH": "/bin", "HOSTNAME": "x", "HOME": "/"}
	maps.Copy(all, vars)
	var environ []string
	for name, value := range all {
		environ = append(environ, name+"="+value)
	}
	return Parse(World{Getenv: func(name string) string { return all[name] }, Environ: environ, Workdir: workdir})
}

func TestPlans(t *testing.T) {
	clone := checkout(t)
	in := func(name string) string { return filepath.Join(clone, name) }
	files := func(f Files) func(*Plan) { return func(p *Plan) { p.Files = &f } }
	deploy := func(d Deploy) func(*Plan) {
		if d.Port == 0 {
			d.Port = 22
		}
		return func(p *Plan) { p.Deploy = &d }
	}
	host := func(name string) ssh.Target { return ssh.Target{Host: name} }
	identity := []string{"identity"}
	for name, test := range map[string]struct {
		vars    map[string]string
		workdir string
		want    func(*Plan)
	}{
		"nothing more":            {nil, "", files(Files{Destination: in(".gatepass"), Outputs: identity})},
		"values that are not set": {map[string]string{"TTL": " ", "SSH_HOST": "\n", "AUDIENCE": "$GATEPASS_AUDIENCE", "COPY_COUNT": "", "OUTPUT": ""}, "", files(Files{Destination: in(".gatepass"), Outputs: identity})},
		"every setting": {
			map[string]string{"AUDIENCE": "https://join.example.com", "TTL": "30m", "TIMEOUT": "5s", "ROLES": "deployer, viewer", "CA_FILE": "ca.pem", "KNOWN_HOSTS": "known_hosts", "OUTPUT_OWNER": "1000:1000", "DEBUG": "True"},
			"", func(p *Plan) {
				p.Debug, p.Audience, p.TTL, p.Timeout, p.Roles = true, "https://join.example.com", 30*time.Minute, 5*time.Second, []string{"deployer", "viewer"}
				p.CAFile, p.KnownHosts = in("ca.pem"), in("known_hosts")
				p.Files = &Files{Destination: in(".gatepass"), Outputs: identity, Owner: "1000:1000"}
			},
		},
		"outputs as a list": {
			map[string]string{"OUTPUT_COUNT": "2", "OUTPUT_0": "database,username=it's,database=a b", "OUTPUT_1": " jwt,jwt-audience=$(x) "}, "",
			files(Files{Destination: in(".gatepass"), Outputs: []string{"database,username=it's,database=a b", "jwt,jwt-audience=$(x)"}}),
		},
		"outputs as lines":             {map[string]string{"OUTPUT": "identity\n\n database,username=app\r\n"}, "", files(Files{Destination: in(".gatepass"), Outputs: []string{"identity", "database,username=app"}})},
		"a destination from a folder":  {map[string]string{"DESTINATION": "../id"}, "public", files(Files{Destination: in("id"), Outputs: identity})},
		"the default from a folder":    {nil, "public", files(Files{Destination: in(".gatepass"), Outputs: identity})},
		"an absolute destination":      {map[string]string{"DESTINATION": in("ci/id")}, "", files(Files{Destination: in("ci/id"), Outputs: identity})},
		"a destination with any name":  {map[string]string{"DESTINATION": "it's $(touch x) `y` \"z\""}, "", files(Files{Destination: in("it's $(touch x) `y` \"z\""), Outputs: identity})},
		"cleaning up":                  {map[string]string{"CLEANUP": "true", "SERVER": "", "TOKEN": ""}, "", func(p *Plan) { p.Server, p.Token, p.Cleanup = "", "", &Cleanup{in(".gatepass")} }},
		"cleaning up, with the others": {map[string]string{"CLEANUP": "true", "OUTPUT": "identity", "DESTINATION": "id"}, "", func(p *Plan) { p.Server, p.Token, p.Cleanup = "", "", &Cleanup{in("id")} }},
		"a command":                    {map[string]string{"SSH_HOST": "h", "COMMAND": " echo $X 'a' \"$(b)\"\necho c\n"}, "", deploy(Deploy{Hosts: []ssh.Target{host("h")}, Command: "echo $X 'a' \"$(b)\"\necho c"})},
		"a command with a variable":    {map[string]string{"SSH_HOST": "h", "COMMAND": "$HOME/run"}, "", deploy(Deploy{Hosts: []ssh.Target{host("h")}, Command: "$HOME/run"})},
		"hosts": {
			map[string]string{"SSH_HOST": "a, deploy@b:2222\n[::1]:22 c", "SSH_USER": "d", "SSH_PORT": "2200", "COMMAND": "x", "KEEP_GOING": "true"}, "",
			deploy(Deploy{Hosts: []ssh.Target{host("a"), {User: "deploy", Host: "b", Port: 2222}, {Host: "::1", Port: 22}, host("c")}, User: "d", Port: 2200, Command: "x", KeepGoing: true}),
		},
		"hosts by the other name": {map[string]string{"SSH_HOSTS_COUNT": "2", "SSH_HOSTS_0": "a", "SSH_HOSTS_1": "b", "COMMAND": "x"}, "", deploy(Deploy{Hosts: []ssh.Target{host("a"), host("b")}, Command: "x"})},
		"copies": {
			map[string]string{"SSH_HOST": "a", "COPY": "index.html:/srv/www/\n../public:~/shop\nindex.html:~\nindex.html:~//releases/"}, "public",
			deploy(Deploy{Hosts: []ssh.Target{host("a")}, Copies: []Copy{
				{Source: in("public/index.html"), Name: "index.html", To: "/srv/www/"}, {Source: in("public"), Name: "../public", Folder: true, To: "shop"},
				{Source: in("public/index.html"), Name: "index.html", To: "."}, {Source: in("public/index.html"), Name: "index.html", To: "releases/"},
			}}),
		},
		"a link in the clone is copied": {map[string]string{"SSH_HOST": "a", "COPY": "www:www"}, "", deploy(Deploy{Hosts: []ssh.Target{host("a")}, Copies: []Copy{{Source: in("www"), Name: "www", Folder: true, To: "www"}}})},
		"a script":                      {map[string]string{"SSH_HOST": "a", "SCRIPT": "deploy.sh"}, "", deploy(Deploy{Hosts: []ssh.Target{host("a")}, Script: "deploy.sh", Command: "/bin/bash -eu -c '#!/bin/bash -eu\necho it'\\''s done\n' 'deploy.sh'"})},
		"a script by a link":            {map[string]string{"SSH_HOST": "a", "SCRIPT": "in.sh"}, "", deploy(Deploy{Hosts: []ssh.Target{host("a")}, Script: "in.sh", Command: "/bin/bash -eu -c '#!/bin/bash -eu\necho it'\\''s done\n' 'in.sh'"})},
		"a script of no shell named":    {map[string]string{"SSH_HOST": "a", "SCRIPT": "plain"}, "", deploy(Deploy{Hosts: []ssh.Target{host("a")}, Script: "plain", Command: "sh -c 'ls\n' 'plain'"})},
		"a script of Python":            {map[string]string{"SSH_HOST": "a", "SCRIPT": "task.py"}, "", deploy(Deploy{Hosts: []ssh.Target{host("a")}, Script: "task.py", Command: "/usr/bin/env python3 -c '#!/usr/bin/env python3\n' 'task.py'"})},
	} {
		t.Run(name, func(t *testing.T) {
			plan, problems := parse(clone, filepath.Join(clone, test.workdir), test.vars)
			if problems.Has("") {
				t.Fatal(problems)
			}
			want := &Plan{Server: "https://join.example.com", Token: "example-bot", Clone: clone, Workdir: filepath.Join(clone, test.workdir)}
			test.want(want)
			if !reflect.DeepEqual(plan, want) {
				t.Errorf("got  %+v %+v %+v\nwant %+v %+v %+v", plan, plan.Files, plan.Deploy, want, want.Files, want.Deploy)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	clone := checkout(t)
	const required = "required field"
	for name, test := range map[string]struct {
		vars map[string]string
		want map[string]string // part of the one message, by variable
	}{
		"nothing":                         {map[string]string{"SERVER": "", "TOKEN": " "}, map[string]string{"SERVER": required, "TOKEN": required}},
		"defaults of pipe.yml":            {map[string]string{"SERVER": "$GATEPASS_SERVER", "TOKEN": "$GATEPASS_TOKEN"}, map[string]string{"SERVER": required, "TOKEN": required}},
		"variables without a value":       {map[string]string{"SERVER": "$JOIN", "TOKEN": "${BOT}", "SSH_HOST": "$HOST", "COMMAND": "x"}, map[string]string{"SERVER": "its value is $JOIN itself", "TOKEN": "its value is ${BOT} itself", "SSH_HOST": "its value is $HOST itself"}},
		"a server without encryption":     {map[string]string{"SERVER": "http://join.example.com"}, map[string]string{"SERVER": "use https://join.example.com"}},
		"a server with a password":        {map[string]string{"SERVER": "https://a:b@join.example.com"}, map[string]string{"SERVER": "holds a user or password"}},
		"two lines":                       {map[string]string{"TOKEN": "a\nb", "AUDIENCE": "a\x1b[2J"}, map[string]string{"TOKEN": "one line", "AUDIENCE": "one line"}},
		"NUL":                             {map[string]string{"COMMAND": "a\x00b", "SSH_HOST": "h"}, map[string]string{"COMMAND": "NUL"}},
		"a value without end":             {map[string]string{"TOKEN": strings.Repeat("x", maxLength+1)}, map[string]string{"TOKEN": "max length"}},
		"lifetimes":                       {map[string]string{"TTL": "15", "TIMEOUT": "1ms"}, map[string]string{"TTL": "15m or 1h", "TIMEOUT": "15m or 1h"}},
		"a negative lifetime":             {map[string]string{"TTL": "-15m"}, map[string]string{"TTL": "unallowed value"}},
		"booleans":                        {map[string]string{"DEBUG": "yes", "CLEANUP": "2"}, map[string]string{"DEBUG": "boolean type", "CLEANUP": "boolean type"}},
		"owners by name":                  {map[string]string{"OUTPUT_OWNER": "node"}, map[string]string{"OUTPUT_OWNER": "write numbers"}},
		"owners of nobody":                {map[string]string{"OUTPUT_OWNER": "1000:"}, map[string]string{"OUTPUT_OWNER": "write numbers"}},
		"negative owners":                 {map[string]string{"OUTPUT_OWNER": "-1"}, map[string]string{"OUTPUT_OWNER": "write numbers"}},
		"a list without its length":       {map[string]string{"OUTPUT_0": "identity"}, map[string]string{"OUTPUT": "OUTPUT_COUNT is not"}},
		"a list and a value":              {map[string]string{"OUTPUT": "identity", "OUTPUT_COUNT": "1", "OUTPUT_0": "jwt"}, map[string]string{"OUTPUT": "must not be present with"}},
		"a list with gaps":                {map[string]string{"OUTPUT_COUNT": "2", "OUTPUT_1": "jwt"}, map[string]string{"OUTPUT_0": "empty values not allowed"}},
		"a list of a negative length":     {map[string]string{"OUTPUT_COUNT": "-1"}, map[string]string{"OUTPUT_COUNT": "a number from 0 to 100"}},
		"a list without end":              {map[string]string{"OUTPUT_COUNT": "1000000000"}, map[string]string{"OUTPUT_COUNT": "a number from 0 to 100"}},
		"a list where none is":            {map[string]string{"TTL_COUNT": "1", "TTL_0": "1h"}, map[string]string{"TTL_COUNT": "did you mean TTL?", "TTL_0": "did you mean TTL?"}},
		"misspelt":                        {map[string]string{"SEVER": "x", "OUTPTU": "x", "SSH_HOSTNAME": "x", "KEEPGOING": "x", "COMAND": "x"}, map[string]string{"SEVER": "SERVER?", "OUTPTU": "OUTPUT?", "SSH_HOSTNAME": "SSH_HOST?", "KEEPGOING": "KEEP_GOING?", "COMAND": "COMMAND?"}},
		"a misspelt list":                 {map[string]string{"OUTPUTT_COUNT": "1", "OUTPUTT_0": "x"}, map[string]string{"OUTPUTT_COUNT": "OUTPUT?", "OUTPUTT_0": "OUTPUT?"}},
		"a command of nothing":            {map[string]string{"SSH_HOST": "a", "COMMAND": "$GATEPASS_COMMAND"}, map[string]string{"COMMAND": "or SCRIPT, or COPY"}},
		"a host alone":                    {map[string]string{"SSH_HOST": "a"}, map[string]string{"COMMAND": "or SCRIPT, or COPY"}},
		"a command alone":                 {map[string]string{"COMMAND": "x"}, map[string]string{"SSH_HOST": required}},
		"a script and a command":          {map[string]string{"COMMAND": "x", "SCRIPT": "plain", "SSH_HOST": "a"}, map[string]string{"COMMAND": "'COMMAND' must not be present with 'SCRIPT'"}},
		"a deployment with files":         {map[string]string{"COMMAND": "x", "SSH_HOST": "a", "OUTPUT": "identity", "DESTINATION": "d", "OUTPUT_OWNER": "1"}, map[string]string{"OUTPUT": "with 'SSH_HOST'", "DESTINATION": "with 'SSH_HOST'", "OUTPUT_OWNER": "with 'SSH_HOST'"}},
		"hosts by two names":              {map[string]string{"COMMAND": "x", "SSH_HOST": "a", "SSH_HOSTS": "b"}, map[string]string{"SSH_HOSTS": "they mean the same"}},
		"a host twice":                    {map[string]string{"COMMAND": "x", "SSH_HOST": "a,b,A"}, map[string]string{"SSH_HOST": "A is named twice"}},
		"no hosts":                        {map[string]string{"COMMAND": "x", "SSH_HOST": ",,"}, map[string]string{"SSH_HOST": required}},
		"hosts that are options":          {map[string]string{"COMMAND": "x", "SSH_HOST": "-oProxyCommand=x"}, map[string]string{"SSH_HOST": "is no host to log in to"}},
		"hosts that are commands":         {map[string]string{"COMMAND": "x", "SSH_HOST": "$(id)", "SSH_USER": "`id`"}, map[string]string{"SSH_HOST": "is no host to log in to", "SSH_USER": "the login's name"}},
		"a user with a host":              {map[string]string{"COMMAND": "x", "SSH_HOST": "a", "SSH_USER": "d@b"}, map[string]string{"SSH_USER": "the login's name"}},
		"ports":                           {map[string]string{"COMMAND": "x", "SSH_HOST": "a", "SSH_PORT": "65536"}, map[string]string{"SSH_PORT": "from 1 to 65535"}},
		"no port":                         {map[string]string{"COMMAND": "x", "SSH_HOST": "a", "SSH_PORT": "0"}, map[string]string{"SSH_PORT": "from 1 to 65535"}},
		"a key that is none":              {map[string]string{"COMMAND": "x", "SSH_HOST": "a", "HOST_KEY": "SHA256:x"}, map[string]string{"HOST_KEY": "neither a public key nor a fingerprint"}},
		"settings of logging in":          {map[string]string{"SSH_USER": "a", "SSH_PORT": "1", "HOST_KEY": "x", "KEEP_GOING": "true"}, map[string]string{"SSH_USER": "'SSH_HOST' is required", "SSH_PORT": "'SSH_HOST' is required", "HOST_KEY": "'SSH_HOST' is required", "KEEP_GOING": "'SSH_HOST' is required"}},
		"cleaning up a deployment":        {map[string]string{"CLEANUP": "true", "SSH_HOST": "a", "COMMAND": "x"}, map[string]string{"SSH_HOST": "with 'CLEANUP'", "COMMAND": "with 'CLEANUP'"}},
		"a copy without a place":          {map[string]string{"SSH_HOST": "a", "COPY": "public"}, map[string]string{"COPY": "write FROM:TO"}},
		"a copy of nothing":               {map[string]string{"SSH_HOST": "a", "COPY": ":/srv"}, map[string]string{"COPY": "write FROM:TO"}},
		"a copy to nowhere":               {map[string]string{"SSH_HOST": "a", "COPY": "public:"}, map[string]string{"COPY": "write FROM:TO"}},
		"a copy with a host":              {map[string]string{"SSH_HOST": "a", "COPY": "public:host:/srv"}, map[string]string{"COPY": "write FROM:TO"}},
		"a copy of what is not there":     {map[string]string{"SSH_HOST": "a", "COPY": "dist:/srv"}, map[string]string{"COPY": "dist: no such file or directory"}},
		"a copy from outside":             {map[string]string{"SSH_HOST": "a", "COPY": "/etc/passwd:x"}, map[string]string{"COPY": "is outside of the clone"}},
		"a copy by a link":                {map[string]string{"SSH_HOST": "a", "COPY": "out.sh:x"}, map[string]string{"COPY": "out.sh: path escapes"}},
		"a copy of credentials":           {map[string]string{"SSH_HOST": "a", "COPY": ".gatepass:x"}, map[string]string{"COPY": "credentials in it, those of .gatepass/identity"}},
		"a copy of one of them":           {map[string]string{"SSH_HOST": "a", "COPY": ".gatepass/identity/.gatepass/set-1/key:x"}, map[string]string{"COPY": "credentials in it"}},
		"a copy of them by a link":        {map[string]string{"SSH_HOST": "a", "COPY": "set:x"}, map[string]string{"COPY": "set has credentials in it, those of .gatepass/identity"}},
		"a copy of one by a link":         {map[string]string{"SSH_HOST": "a", "COPY": "key.sh:x"}, map[string]string{"COPY": "credentials in it, those of .gatepass/identity"}},
		"a script that is one, by a link": {map[string]string{"SSH_HOST": "a", "SCRIPT": "key.sh"}, map[string]string{"SCRIPT": "credentials in it, those of .gatepass/identity"}},
		"a command without a value":       {map[string]string{"SSH_HOST": "a", "COMMAND": "$DEPLOY"}, map[string]string{"COMMAND": "its value is $DEPLOY itself"}},
		"a copy of everything":            {map[string]string{"SSH_HOST": "a", "COPY": ".:x"}, map[string]string{"COPY": "credentials in it, those of .gatepass/identity"}},
		"a script outside":                {map[string]string{"SSH_HOST": "a", "SCRIPT": "../x.sh"}, map[string]string{"SCRIPT": "is outside of the clone"}},
		"a script by a link to the root":  {map[string]string{"SSH_HOST": "a", "SCRIPT": "out.sh"}, map[string]string{"SCRIPT": "path escapes"}},
		"a script by a link up":           {map[string]string{"SSH_HOST": "a", "SCRIPT": "up.sh"}, map[string]string{"SCRIPT": "path escapes"}},
		"a script that is a folder":       {map[string]string{"SSH_HOST": "a", "SCRIPT": "public"}, map[string]string{"SCRIPT": "public is no file"}},
		"a script of another kind":        {map[string]string{"SSH_HOST": "a", "SCRIPT": "run.pl"}, map[string]string{"SCRIPT": "run.pl is for /usr/bin/perl"}},
		"a script with an odd first line": {map[string]string{"SSH_HOST": "a", "SCRIPT": "odd.sh"}, map[string]string{"SCRIPT": "odd.sh is for /bin/sh -c 'x'"}},
		"a script of nothing":             {map[string]string{"SSH_HOST": "a", "SCRIPT": "env.sh"}, map[string]string{"SCRIPT": "env.sh is for /usr/bin/env"}},
		"a script that is none":           {map[string]string{"SSH_HOST": "a", "SCRIPT": "binary.sh"}, map[string]string{"SCRIPT": "binary.sh is no text"}},
		"a destination that is the clone": {map[string]string{"DESTINATION": "./public/.."}, map[string]string{"DESTINATION": "a folder of its own inside the clone"}},
		"a destination outside":           {map[string]string{"DESTINATION": "/tmp/x"}, map[string]string{"DESTINATION": "a folder of its own inside the clone"}},
		"a destination by a link":         {map[string]string{"DESTINATION": "www/id"}, map[string]string{"DESTINATION": "www is a symbolic link"}},
		"an authority outside":            {map[string]string{"CA_FILE": "/etc/ssl/cert.pem"}, map[string]string{"CA_FILE": "is outside of the clone"}},
		"known hosts that are not there":  {map[string]string{"KNOWN_HOSTS": "/nonexistent/known_hosts"}, map[string]string{"KNOWN_HOSTS": "no such file"}},
		"known hosts by a link":           {map[string]string{"KNOWN_HOSTS": "out.sh"}, map[string]string{"KNOWN_HOSTS": "path escapes"}},
		"no clone":                        {map[string]string{"BITBUCKET_CLONE_DIR": ""}, map[string]string{"BITBUCKET_CLONE_DIR": "elsewhere use `gatepass join`"}},
		"a clone by half":                 {map[string]string{"BITBUCKET_CLONE_DIR": "build"}, map[string]string{"BITBUCKET_CLONE_DIR": "an absolute path"}},
		"a clone that is not there":       {map[string]string{"BITBUCKET_CLONE_DIR": "/nonexistent", "SSH_HOST": "a", "COPY": "public:x", "SCRIPT": "plain"}, map[string]string{"BITBUCKET_CLONE_DIR": "no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := parse(clone, clone, test.vars)
			names := slices.Sorted(maps.Keys(problems.of))
			if want := slices.Sorted(maps.Keys(test.want)); !slices.Equal(names, want) {
				t.Errorf("problems of %q, want of %q:\n%s", names, want, problems)
			}
			for name, want := range test.want {
				if !slices.ContainsFunc(problems.of[name], func(text string) bool { return strings.Contains(text, want) }) {
					t.Errorf("%s: %q, want %q", name, problems.of[name], want)
				}
			}
		})
	}
}

// What is printed is what bitbucket-pipes-toolkit prints of its validator's errors.
func TestProblemsAreWordedAsThePipesToolkitDoes(t *testing.T) {
	_, problems := parse("", "/", map[string]string{"SERVER": "", "TTL": "x", "BITBUCKET_CLONE_DIR": checkout(t)})
	var out strings.Builder
	Log{To: &out}.Fail("%s", problems)
	want := "\x1b[31m✖ Validation errors: \nSERVER:\n- required field\nTTL:\n- unallowed value \"x\": write a time such as 15m or 1h\n\x1b[0m\n"
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

// Flags lose their dashes in messages of the pipe, and nothing else does.
func TestProblemsNameNoFlags(t *testing.T) {
	problems := &Problems{}
	problems.AddError("OUTPUT", cli.Misused("--app is missing").
		Hint("give --server-ca FILE (or --username), of -----BEGIN CERTIFICATE----- blocks; not a--b, --- or -- "))
	const want = "OUTPUT:\n- app is missing; give server-ca FILE (or username), of -----BEGIN CERTIFICATE----- blocks; not a--b, --- or --"
	if !strings.Contains(problems.String(), want) {
		t.Errorf("got  %s\nwant %s", problems, want)
	}
}

// FuzzParse has any environment at all. Whatever is in it, a plan without problems is
// one that can be carried out: everything in the clone, nothing empty.
func FuzzParse(f *testing.F) {
	clone := checkout(f) // which is only read
	f.Fuzz(func(t *testing.T, environ string) {
		vars := map[string]string{}
		for entry := range strings.SplitSeq(environ, "\x1e") {
			if name, value, ok := strings.Cut(entry, "="); ok && name != varCloneDir {
				vars[name] = value
			}
		}
		plan, problems := parse(clone, clone, vars)
		if strings.ContainsFunc(problems.String(), func(c rune) bool { return c < ' ' && c != '\n' || c == 0x7f }) {
			t.Fatalf("a message has control characters: %q", problems)
		}
		if problems.Has("") {
			return
		}
		if err := sane(plan, clone); err != nil {
			t.Fatalf("%v: %+v", err, plan)
		}
	})
}

// sane says what must hold of every plan.
func sane(p *Plan, clone string) error {
	inside := func(path string) bool { return strings.HasPrefix(path, clone+"/") && filepath.Clean(path) == path }
	parts := 0
	if p.Files != nil {
		parts++
		if !inside(p.Files.Destination) || len(p.Files.Outputs) == 0 || len(p.Files.Outputs) > maxLength {
			return fmt.Errorf("files: %+v", p.Files)
		}
	}
	if p.Cleanup != nil {
		parts++
		if !inside(p.Cleanup.Destination) {
			return fmt.Errorf("cleanup: %+v", p.Cleanup)
		}
	}
	if d := p.Deploy; d != nil {
		parts++
		if len(d.Hosts) == 0 || d.Port == 0 || d.Command == "" && len(d.Copies) == 0 {
			return fmt.Errorf("deployment: %+v", d)
		}
		for _, c := range d.Copies {
			if !inside(c.Source) && c.Source != clone || c.To == "" || strings.Contains(c.Source, ".gatepass") {
				return fmt.Errorf("copy: %+v", c)
			}
		}
	}
	switch {
	case parts != 1:
		return fmt.Errorf("%d things to do", parts)
	case p.Cleanup == nil && (p.Server == "" || p.Token == "" || strings.ContainsAny(p.Token+p.Audience, "\n\x00\x1b")):
		return fmt.Errorf("server, token or audience")
	case p.CAFile != "" && !inside(p.CAFile):
		return fmt.Errorf("the CA file")
	}
	return nil
}

func TestFuzzSeeds(t *testing.T) {
	seeds, err := filepath.Glob("testdata/fuzz/FuzzParse/*")
	if err != nil || len(seeds) < 5 {
		t.Errorf("%d seeds: %v", len(seeds), err)
	}
}
