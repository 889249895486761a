package hostsetup_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/hostsetup"
)

func TestHostsThatCannotBe(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*hostsetup.Host)
		want   string
	}{
		"no authority":                    {func(h *hostsetup.Host) { h.Authority = "# none\n" }, "the authority has no public key"},
		"an authority that is garbage":    {func(h *hostsetup.Host) { h.Authority = "x\n" }, "is not public keys"},
		"an authority with options":       {func(h *hostsetup.Host) { h.Authority = `principals="root" ` + h.Authority }, "is not public keys"},
		"a private key":                   {func(h *hostsetup.Host) { h.Authority = "-----BEGIN OPENSSH PRIVATE KEY-----\n" }, "is not public keys"},
		"no accounts":                     {func(h *hostsetup.Host) { h.Accounts = nil }, "no logins"},
		"an account without logins":       {func(h *hostsetup.Host) { h.Accounts["app"] = nil }, "local account app: no login may be it"},
		"an account that is a path":       {func(h *hostsetup.Host) { h.Accounts["../../x"] = []string{"x"} }, `"../../x" is not a login`},
		"an account that begins with a .": {func(h *hostsetup.Host) { h.Accounts[".x"] = []string{"x"} }, "is not a login"},
		"a login with labels":             {func(h *hostsetup.Host) { h.Accounts["app"] = []string{"x@env=prod"} }, "is not a login"},
		"a login of two lines":            {func(h *hostsetup.Host) { h.Accounts["app"] = []string{"x\nroot"} }, "is not a login"},
		"too many principals": {func(h *hostsetup.Host) {
			for _, n := range "abcdefgh" {
				h.Labels[string(n)] = "x"
			}
			for i := range 17 {
				h.Accounts["app"] = append(h.Accounts["app"], "x"+strings.Repeat("x", i))
			}
		}, "give fewer labels"},
		"a certificate without a path": {func(h *hostsetup.Host) { h.HostCertificates = []string{"key-cert.pub"} }, "write its absolute path"},
		"a certificate that is a key":  {func(h *hostsetup.Host) { h.HostCertificates = []string{"/etc/ssh/key.pub"} }, "write its absolute path"},
		"a certificate of two words":   {func(h *hostsetup.Host) { h.HostCertificates = []string{"/x\nPermitRootLogin yes\n-cert.pub"} }, "write its absolute path"},
	} {
		t.Run(name, func(t *testing.T) {
			h := prod(t)
			tt.change(h)
			if files, err := h.Files(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, %v; want %s", files, err, tt.want)
			}
		})
	}
}

// The script does what Apply does. It runs here with its paths below a folder, and an
// sshd that finds nothing wrong.
func TestScriptDoesWhatApplyDoes(t *testing.T) {
	h := prod(t)
	h.RevokedKeys = true
	applied, m := newImage(t), newImage(t)
	_, err := applied.apply(h, nil)
	must(t, err)

	// An sshd that finds nothing wrong, and goes by the file.
	good := "sshd() { if [ $1 = -T ]; then echo authorizedprincipalsfile " + m.path(hostsetup.PrincipalsDir) + "/%u; fi; }"
	sshd := good
	run := func(h *hostsetup.Host) (string, error) {
		files, err := h.Files()
		must(t, err)
		script := strings.ReplaceAll(hostsetup.Script(files), "/etc/ssh/", m.top+"/etc/ssh/")
		for _, f := range files { // what they say is not to be about the folder
			script = strings.ReplaceAll(script, strings.ReplaceAll(f.Content, "/etc/ssh/", m.top+"/etc/ssh/"), f.Content)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", sshd+"\n"+script)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	// sshd_config includes the real path, and the script looks for the folder's name only.
	for range 2 {
		out, err := run(h)
		if err != nil || !strings.Contains(out, "done; now reload sshd") {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, name := range []string{hostsetup.AuthorityFile, hostsetup.PrincipalsDir + "/app", hostsetup.PrincipalsDir + "/deploy", hostsetup.RevokedKeysFile, hostsetup.ConfigFile} {
			if got, want := m.read(name), applied.read(name); got != want {
				t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
			}
		}
		m.open()
		same(t, m.found(h, hostsetup.Checks{}), nil)
	}

	delete(h.Accounts, "app")
	m.write(hostsetup.PrincipalsDir+"/other", "root\n")
	if out, err := run(h); err != nil || !strings.Contains(out, "principals/other: lets into an account, and is not written by") {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(m.path(hostsetup.PrincipalsDir + "/app")); err == nil {
		t.Error("the script leaves an account open that is not set up")
	}
	must(t, os.Remove(m.path(hostsetup.PrincipalsDir+"/other")))

	// sshd refuses, or goes by another file: what it reads first is as before.
	before := m.read(hostsetup.ConfigFile)
	h.RevokedKeys = false
	for _, sshd = range []string{"sshd() { [ $1 = -T ]; }", "sshd() { echo authorizedprincipalsfile /etc/ssh/everybody; }"} {
		if out, err := run(h); err == nil || !strings.Contains(out, "10-gatepass.conf is as before") || m.read(hostsetup.ConfigFile) != before {
			t.Errorf("%s: %v\n%s\n%s", sshd, err, out, m.read(hostsetup.ConfigFile))
		}
	}
	must(t, os.Remove(m.path(hostsetup.ConfigFile)))
	if out, err := run(h); err == nil {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(m.path(hostsetup.ConfigFile)); err == nil {
		t.Error("a configuration that was not there before is there")
	}
	sshd = good
	h.Accounts["esac"] = []string{"deploy"} // which is a word of the shell's
	if out, err := run(h); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	delete(h.Accounts, "esac")

	m.write(hostsetup.PrincipalsDir+"/deploy", "root\n")
	if out, err := run(h); err == nil || !strings.Contains(out, "principals/deploy: not written by gatepassctl") {
		t.Errorf("over another's file: %v\n%s", err, out)
	}
	m.write("/etc/ssh/sshd_config", "UsePAM yes\n")
	if out, err := run(h); err == nil || !strings.Contains(out, "does not include sshd_config.d") {
		t.Errorf("without Include: %v\n%s", err, out)
	}
}

func TestCloudConfig(t *testing.T) {
	h := prod(t)
	files, err := h.Files()
	must(t, err)
	text, err := hostsetup.CloudConfig(files)
	must(t, err)
	if !strings.HasPrefix(text, "#cloud-config\n") {
		t.Errorf("it begins %.40q", text)
	}
	var config struct {
		WriteFiles []struct{ Path, Content, Permissions, Owner string } `yaml:"write_files"`
		RunCmd     []string                                             `yaml:"runcmd"`
	}
	must(t, yaml.Unmarshal([]byte(text), &config))
	if len(config.WriteFiles) != len(files) || len(config.RunCmd) != 1 {
		t.Fatalf("got %+v", config)
	}
	for i, f := range config.WriteFiles {
		if f.Path != files[i].Path || f.Content != files[i].Content || f.Permissions != "0644" || f.Owner != "root:root" {
			t.Errorf("got %+v, want %+v", f, files[i])
		}
	}
}
