package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/client/commands"
)

// slip is a command line that this machine cannot carry out.
type slip struct {
	args []string // after those of the command that works
	env  []string // besides that of the command that works
	says string   // on stderr, or on stdout for the pipe
}

// joining is a command that joins: how it joins, and every way in which that can go wrong on
// this machine.
type joining struct {
	args  []string
	env   []string
	slips map[string]slip
}

// ofEveryJoin can go wrong whatever a command joins for. Flags win over the environment.
func ofEveryJoin() map[string]slip {
	return map[string]slip{
		"no server":                        {nil, []string{"GATEPASS_SERVER="}, "no server is given"},
		"a server in the clear":            {nil, []string{"GATEPASS_SERVER=http://join.example.com"}, "unencrypted"},
		"no token rule":                    {nil, []string{"GATEPASS_TOKEN="}, "no token rule is named"},
		"no authorities":                   {nil, []string{"GATEPASS_CA_FILE=none.pem"}, "reading the CA file"},
		"authorities that are a directory": {nil, []string{"GATEPASS_CA_FILE=folder"}, "reading the CA file"},
		"authorities that are none":        {nil, []string{"GATEPASS_CA_FILE=text"}, "holds no PEM certificate"},
		"no ID token":                      {nil, []string{"BITBUCKET_STEP_OIDC_TOKEN="}, "no ID token"},
		"half an ID token":                 {nil, []string{"BITBUCKET_STEP_OIDC_TOKEN=e30.e30"}, "is not an ID token"},
		"another audience":                 {nil, []string{"GATEPASS_AUDIENCE=https://elsewhere.example.com"}, "is not for audience"},
		"an ID token file that is missing": {[]string{"--id-token-file=none"}, nil, "does not exist"},
		"a lifetime that is none":          {[]string{"--ttl=1ms"}, nil, "too short"},
		"no time":                          {[]string{"--timeout=0s"}, nil, "too short"},
		"another join method":              {[]string{"--join-method=jenkins"}, nil, "is not supported"},
	}
}

// and returns the slips of all.
func and(all ...map[string]slip) map[string]slip {
	sum := map[string]slip{}
	for _, some := range all {
		for name, s := range some {
			sum[name] = s
		}
	}
	return sum
}

// required are the flags without which an output cannot be asked for.
var required = map[string][]string{
	"identity": nil, "database": {"--username=app"}, "application": {"--app=shop"}, "jwt": {"--jwt-audience=https://vault.example.com"},
	"kubernetes": {"--kubernetes-user=ci", "--kubernetes-server=https://k.example.com"},
}

// ofOutputs can go wrong where files are written.
func ofOutputs(kind string) map[string]slip {
	slips := map[string]slip{
		"no destination":                         {[]string{"--destination="}, nil, "no destination is given"},
		"a destination that is a file":           {[]string{"--destination=text"}, nil, "a file is in the way"},
		"a destination where nothing can be":     {[]string{"--destination=/proc/gatepass"}, nil, "hint: choose another --destination"},
		"a destination that holds others' files": {[]string{"--destination=folder"}, nil, "open to others"},
		"another user's destination":             {[]string{"--destination=foreign"}, nil, "belongs to another user"},
		"a destination behind a planted link":    {[]string{"--destination=open/link"}, nil, "symbolic link"},
		"a destination of a kind that is none":   {[]string{"--destination=s3://bucket"}, nil, "not supported"},
		"an owner who is nobody":                 {[]string{"--owner=no-such-user"}, nil, "there is no user"},
		"a reader who is nobody":                 {[]string{"--reader-group=no-such-group"}, nil, "there is no group"},
		"a format that is none":                  {[]string{"--report=xml"}, nil, "unknown format"},
	}
	switch kind {
	case "identity":
		slips["no known_hosts"] = slip{[]string{"--known-hosts=none"}, nil, "reading the known_hosts file"}
		slips["known_hosts that are none"] = slip{[]string{"--known-hosts=text"}, nil, "is not a known_hosts line"}
		slips["a path that ssh_config cannot hold"] = slip{[]string{"--destination=a\"b"}, nil, "ssh_config cannot hold"}
	case "database":
		slips["no authority of the server"] = slip{[]string{"--server-ca=none"}, nil, "reading --server-ca"}
	case "kubernetes":
		slips["no authority of the cluster"] = slip{[]string{"--kubernetes-ca=none"}, nil, "reading --kubernetes-ca"}
		slips["a cluster in the clear"] = slip{[]string{"--kubernetes-server=http://k"}, nil, "is not an https URL"}
	}
	return slips
}

// ofHosts can go wrong where the client logs in.
func ofHosts() map[string]slip {
	return map[string]slip{
		"no known_hosts":           {[]string{"--known-hosts=none"}, nil, "reading the known_hosts file"},
		"a key that is none":       {[]string{"--host-key=none"}, nil, "neither a public key nor a fingerprint"},
		"a jump host that is none": {[]string{"-J", "a b"}, nil, "is no host to log in to"},
		"no time to connect":       {[]string{"--connect-timeout=0s"}, nil, "out of range"},
	}
}

// joiners are all commands that join.
func joiners() map[string]joining {
	all := map[string]joining{
		"start": {[]string{"-c", "tbot.yaml"}, nil, and(ofEveryJoin(), map[string]slip{
			"no file":                      {[]string{"-c", "none.yaml"}, nil, "reading the configuration"},
			"a file that is none":          {[]string{"-c", "text"}, nil, "text: "},
			"a destination that is a file": {[]string{"-c", "file.yaml"}, nil, "a file is in the way"},
			"a renewal that is impossible": {[]string{"-c", "renew.yaml"}, nil, "renewal is not possible here"},
			"an interval that is none":     {[]string{"--renewal-interval=1ms"}, nil, "is not between"},
		})},
		"exec": {[]string{"--", "true"}, nil, and(ofEveryJoin(), map[string]slip{
			"no command":                    {[]string{"--"}, nil, "no command is given"},
			"a command that is missing":     {[]string{"--", "no-such-command"}, nil, "is not found"},
			"a path that is missing":        {[]string{"--", "./none"}, nil, "is not found"},
			"a file without the right":      {[]string{"--", "./text"}, nil, "starting the command"},
			"a folder":                      {[]string{"--", "./folder"}, nil, "starting the command"},
			"a script of nothing":           {[]string{"--", "./lost"}, nil, "no/such/interpreter"},
			"a script of env's nothing":     {[]string{"--", "./env"}, nil, "no-such-interpreter"},
			"a script with Windows' lines":  {[]string{"--", "./windows"}, nil, "line ends of Unix"},
			"a text without a first line":   {[]string{"--", "./bare"}, nil, "without a first line"},
			"an empty file":                 {[]string{"--", "./empty"}, nil, "without a first line"},
			"no known_hosts":                {[]string{"--known-hosts=none", "--", "true"}, nil, "reading the known_hosts file"},
			"another output that is none":   {[]string{"--also=wat", "--", "true"}, nil, "unknown output type"},
			"another output's authorities":  {[]string{"--also=database,username=app,server-ca=none", "--", "true"}, nil, "reading --server-ca"},
			"no agent":                      {[]string{"--ssh-add"}, []string{"SSH_AUTH_SOCK="}, "SSH_AUTH_SOCK is not set"},
			"an agent that does not answer": {[]string{"--ssh-add"}, []string{"SSH_AUTH_SOCK=none"}, "does not answer"},
		})},
		"ssh": {[]string{"127.0.0.1:1", "--", "true"}, nil, and(ofEveryJoin(), ofHosts(), map[string]slip{
			"a port that is none": {[]string{"--port=0", "host", "--", "true"}, nil, "out of range"},
			"no host":             {[]string{"--"}, nil, "no host is given"},
			"a host that is none": {[]string{"a b", "--", "true"}, nil, "is no host to log in to"},
			"a user that is none": {[]string{"a;b@host", "--", "true"}, nil, "is no host to log in to"},
			"a port beyond all":   {[]string{"host:65536", "--", "true"}, nil, "its port"},
		})},
		"cp": {[]string{"-P1", "text", "127.0.0.1:x"}, nil, and(ofEveryJoin(), ofHosts(), map[string]slip{
			"a file that is missing":     {[]string{"none", "127.0.0.1:x"}, nil, "no such file"},
			"one of two":                 {[]string{"text", "none", "127.0.0.1:x"}, nil, "no such file"},
			"a folder without -r":        {[]string{"folder", "127.0.0.1:x"}, nil, "give -r"},
			"a port that is none":        {[]string{"--port=0", "text", "127.0.0.1:x"}, nil, "out of range"},
			"a pipe":                     {[]string{"fifo", "127.0.0.1:x"}, nil, "is no regular file"},
			"a host that is none":        {[]string{"text", "a b:x"}, nil, "is no host to log in to"},
			"nowhere to put it":          {[]string{"127.0.0.1:x", "none/x"}, nil, "no such file"},
			"a folder that is none":      {[]string{"127.0.0.1:x", "none/"}, nil, "is no folder"},
			"several into what is none":  {[]string{"127.0.0.1:x", "127.0.0.1:y", "none"}, nil, "is no folder"},
			"a file where a folder is":   {[]string{"127.0.0.1:folder", "."}, nil, "is a folder"},
			"a place that takes nothing": {[]string{"127.0.0.1:x", "/proc"}, nil, "writing /proc"},
			"a tree that takes nothing":  {[]string{"-r", "127.0.0.1:x", "/proc/x"}, nil, "writing /proc"},
		})},
		"pipe": {nil, []string{"SERVER=$GATEPASS_SERVER", "TOKEN=t", "TIMEOUT=1s", "BITBUCKET_CLONE_DIR=.", "SSH_HOST=127.0.0.1", "SSH_PORT=1", "COPY=text:x"}, map[string]slip{
			"a file that is missing":     {nil, []string{"COPY=none:x"}, "no such file"},
			"a pipe in a folder":         {nil, []string{"COPY=fifo:x"}, "neither a file nor a folder"},
			"no script":                  {nil, []string{"COPY=", "SCRIPT=none"}, "no such file"},
			"no known_hosts":             {nil, []string{"KNOWN_HOSTS=none"}, "no such file"},
			"known_hosts that are none":  {nil, []string{"KNOWN_HOSTS=text"}, "KNOWN_HOSTS"},
			"no authorities":             {nil, []string{"CA_FILE=none"}, "no such file"},
			"a host that is none":        {nil, []string{"SSH_HOST=a b;c"}, "is no host to log in to"},
			"a port that is none":        {nil, []string{"SSH_PORT=0"}, "must be a number"},
			"no ID token":                {nil, []string{"BITBUCKET_STEP_OIDC_TOKEN="}, "oidc: true"},
			"a destination in the way":   {nil, []string{"COPY=", "SSH_HOST=", "SSH_PORT=", "DESTINATION=text"}, "a file is in the way"},
			"another user's destination": {nil, []string{"COPY=", "SSH_HOST=", "SSH_PORT=", "DESTINATION=foreign"}, "belongs to another user"},
		}},
	}
	for kind, flags := range required {
		join := append([]string{"--destination=id"}, flags...)
		all["join "+kind] = joining{join, nil, and(ofEveryJoin(), ofOutputs(kind), map[string]slip{
			"another output in the same place": {[]string{"--also=jwt,destination=id,jwt-audience=a"}, nil, "two outputs have the destination"},
			"another output that is none":      {[]string{"--also=wat,destination=x"}, nil, "unknown output type"},
		})}
		all["start "+kind] = joining{append(join, "--oneshot"), nil, and(ofEveryJoin(), ofOutputs(kind))}
	}
	all["join"] = all["join identity"]
	return all
}

// joinNever are the commands that have nothing to do with an ID token, or only look at it.
var joinNever = []string{"configure", "doctor", "inspect", "logout", "kube-credentials", "exec-janitor", "version", "completion", "help"}

// Whatever can fail on this machine fails before the ID token is spent, in every command.
func TestNoSlipSpendsTheIDToken(t *testing.T) {
	all, checked := joiners(), map[string]bool{}
	walk(commands.Tree(), func(name string) {
		first, _, _ := strings.Cut(name, " ")
		if slices.Contains(joinNever, first) {
			return
		}
		of, ok := all[name]
		if !ok {
			t.Errorf("%q joins, and no slip of it is tried: add it to joiners, or to joinNever if it does not", name)
			return
		}
		checked[name] = true
		t.Run(name, func(t *testing.T) { t.Parallel(); trySlips(t, strings.Fields(name), of) })
	})
	if len(checked) != len(all) {
		t.Errorf("of %d commands only %d are there", len(all), len(checked))
	}
}

// walk calls do with each command that can be run.
func walk(cmd *cobra.Command, do func(name string)) {
	for _, sub := range cmd.Commands() {
		if sub.Runnable() {
			_, name, _ := strings.Cut(sub.CommandPath(), " ")
			do(name)
		}
		walk(sub, do)
	}
}

// built is the program itself: what exec starts beside its command is its own file again,
// which must not be the one of these tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gatepass")
	if err != nil {
		return "", err
	}
	builtIn = dir
	out, err := exec.Command("go", "build", "-o", dir, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return dir, err
})

var builtIn string // empty until then

// program is the directory of the built program.
func program(t *testing.T) string {
	t.Helper()
	dir, err := built()
	must(t, err)
	return dir
}

func trySlips(t *testing.T, name []string, of joining) {
	s, bin := newService(t, false), program(t)
	run := func(dir string, args, env []string) (int, string) {
		cmd := exec.Command(filepath.Join(bin, "gatepass"), append(slices.Clone(name), args...)...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "BITBUCKET_STEP_OIDC_TOKEN=" + idToken("x")}
		if name[0] != "pipe" {
			cmd.Env = append(cmd.Env, "GATEPASS_SERVER="+s.URL, "GATEPASS_TOKEN=t")
		}
		cmd.Env = slices.Concat(cmd.Env, of.env, env)
		for i, entry := range cmd.Env {
			cmd.Env[i] = strings.ReplaceAll(strings.ReplaceAll(entry, "$GATEPASS_SERVER", s.URL), "_DIR=.", "_DIR="+dir)
		}
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if status, out := run(workshop(t), of.args, nil); len(s.requests()) == 0 {
		t.Fatalf("without a slip it does not join: %d\n%s", status, out)
	}
	for what, slip := range of.slips {
		s.setFaults()
		dir := workshop(t)
		args := slices.Concat(of.args, slip.args)
		switch name[0] {
		case "exec", "ssh", "cp": // a slip has its own arguments, or flags before those that work
			args = slices.Concat(slip.args, of.args)
			if len(slip.args) > 0 && !strings.HasPrefix(slip.args[len(slip.args)-1], "-") && slip.args[0] != "-J" || slices.Contains(slip.args, "--") || slices.Contains(slip.args, "--ssh-add") {
				args = slip.args
			}
		}
		status, out := run(dir, args, slip.env)
		if status == 0 || status == 3 || status == 4 || !strings.Contains(out, slip.says) {
			t.Errorf("%s: exit status %d, want %q:\n%s", what, status, slip.says, out)
		}
		if !strings.Contains(out, "hint: ") && !strings.Contains(out, "→ ") && !strings.Contains(out, "Validation errors") {
			t.Errorf("%s: nothing says what to do:\n%s", what, out)
		}
		if n := len(s.requests()); n > 0 {
			t.Errorf("%s: %d requests were sent, and the ID token is spent", what, n)
		}
		if strings.Contains(out, strings.Split(idToken("x"), ".")[2]) {
			t.Errorf("%s: the ID token is in the output", what)
		}
	}
}

// workshop is a directory with everything that a slip can be about.
func workshop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const head = "version: v2\nonboarding: {join_method: bitbucket}\n"
	for name, text := range map[string]string{
		"text": "text\n", "folder/file": "text\n", "bare": "echo x\n", "empty": "", "lost": "#!/no/such/interpreter\n", "env": "#!/usr/bin/env no-such-interpreter\n", "windows": "#!/bin/sh\r\ntrue\r\n",
		"tbot.yaml":  head + "oneshot: true\noutputs: [{type: identity, destination: {path: id}}]\n",
		"file.yaml":  head + "oneshot: true\noutputs: [{type: identity, destination: {path: text}}]\n",
		"renew.yaml": head + "outputs: [{type: identity, destination: {path: id}}]\n",
	} {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		mode := fs.FileMode(0o755)
		if name == "text" {
			mode = 0o644
		}
		must(t, os.WriteFile(path, []byte(text), mode))
	}
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "open"), 0o700))
	must(t, os.Chmod(filepath.Join(dir, "open"), 0o777))
	must(t, os.Symlink(dir, filepath.Join(dir, "open", "link")))
	foreign := filepath.Join(dir, "foreign")
	if os.Geteuid() == 0 {
		must(t, os.Mkdir(foreign, 0o700))
		must(t, os.Chown(foreign, 12345, 12345))
	} else {
		must(t, os.Symlink("/", foreign)) // root's
	}
	return dir
}

// The orb's scripts leave it to the client.
func TestNoSlipOfTheOrbSpendsTheIDToken(t *testing.T) {
	s := newService(t, false)
	scripts, err := filepath.Abs("../../ci/circleci-orb/src/scripts")
	must(t, err)
	for name, test := range map[string]struct {
		script string
		env    []string
		says   string
	}{
		"copy: a file that is missing": {"copy.sh", []string{"ORB_FROM=none", "ORB_TO=x", "ORB_HOSTS=127.0.0.1"}, "no such file"},
		"copy: the second host":        {"copy.sh", []string{"ORB_FROM=none", "ORB_TO=x", "ORB_HOSTS=127.0.0.1\n127.0.0.2"}, "no such file"},
		"exec: flags that are none":    {"exec.sh", []string{"ORB_COMMAND=true", "ORB_FLAGS=--known-hosts=none"}, "reading the known_hosts file"},
		"ssh: a host that is none":     {"ssh.sh", []string{"ORB_COMMAND=true", "ORB_HOSTS=127.0.0.1\na b"}, "is no host to log in to"},
		"join: a file in the way":      {"join.sh", []string{"ORB_OUTPUT=identity", "ORB_DESTINATION=text"}, "a file is in the way"},
		"join: no BASH_ENV":            {"join.sh", []string{"ORB_OUTPUT=identity", "ORB_DESTINATION=id", "BASH_ENV=/proc/none"}, "BASH_ENV names no file"},
	} {
		t.Run(name, func(t *testing.T) {
			s.setFaults()
			dir := workshop(t)
			cmd := exec.Command("bash", filepath.Join(scripts, test.script))
			cmd.Dir = dir
			cmd.Env = slices.Concat([]string{"PATH=" + program(t) + ":" + os.Getenv("PATH"), "HOME=" + dir, "BASH_ENV=" + filepath.Join(dir, "empty"), "CIRCLECI=true", "CIRCLE_OIDC_TOKEN_V2=" + idToken("x")},
				[]string{"ORB_SERVER=" + s.URL, "ORB_TOKEN=t", "ORB_AUDIENCE=", "ORB_TTL=", "ORB_LOGIN=deploy", "ORB_FLAGS="}, test.env)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), test.says) || len(s.requests()) > 0 {
				t.Errorf("%v, %d requests, want %q:\n%s", err, len(s.requests()), test.says, out)
			}
		})
	}
}
