package hosts

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// ReloadCommand has a running sshd read its configuration again, on Debian and on others.
const ReloadCommand = "systemctl reload ssh 2>/dev/null || systemctl reload sshd"

// scriptFile is where cloud-init and the role leave the script, for a later check.
const scriptFile = "/usr/local/bin/gatepass-host-setup"

// What is printed, apart from what is of one host.
var (
	//go:embed script
	scriptFiles embed.FS
	//go:embed cloud-init.yml
	cloudInit string
	//go:embed role.yml
	roleTasks string
)

// scriptHead says what the script is. What is of one host follows it, and then the files of the folder script.
const scriptHead = `#!/bin/sh
` + marker + `
#
# Has this host let in by certificates of Gatepass. Run it as root:
#
#   sh FILE           write what is missing or differs; where all is right, change nothing
#   sh FILE reload    the same, and reload sshd if it has to read its configuration again
#   sh FILE check     change nothing; say what is not as it should be, and then exit with 1

`

// endOfFile ends files in the script. No line of a file is this one: principals have no spaces.
const endOfFile = "END OF FILE"

// scriptParts returns the files of the script, without their lines for shellcheck.
func scriptParts() (string, error) {
	var b strings.Builder
	for _, name := range []string{"files.sh", "sshd.sh", "check.sh", "apply.sh"} {
		text, err := scriptFiles.ReadFile("script/" + name)
		if err != nil {
			return "", err
		}
		_, part, _ := strings.Cut(string(text), "\n")
		b.WriteString("\n" + part)
	}
	return b.String(), nil
}

// Script returns what sets the host up and checks it, for a POSIX shell. It runs in a shell of
// its own, so that it can be pasted as well, and one that was cut off does nothing.
func (h *Host) Script() (string, error) {
	files, err := h.Files()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(scriptHead + "(\n")
	// None of these has a quote: each was checked, or is base64.
	for _, v := range []struct{ name, value string }{
		{"accounts", strings.Join(sortedAccounts(h), " ")},
		{"labels", rules.FormatLabels(h.Labels)},
		{"host_certificates", strings.Join(h.HostCertificates, " ")},
		{"host_authorities", strings.Join(h.HostAuthorities, " ")},
	} {
		fmt.Fprintf(&b, "%s='%s'\n", v.name, v.value)
	}
	b.WriteString("content() {\n  case $1 in\n")
	for _, f := range files {
		if !f.Keep {
			fmt.Fprintf(&b, "  '%s')\n    cat <<'%s'\n%s%s\n    ;;\n", f.Path, endOfFile, f.Content, endOfFile)
		}
	}
	parts, err := scriptParts()
	if err != nil {
		return "", err
	}
	b.WriteString("  esac\n}\n" + parts + ")\n")
	return b.String(), nil
}

// CloudInit returns user data of cloud-init, for hosts that are new: the script and a run
// of it. The script is compressed, since EC2 takes at most 16 KiB.
func (h *Host) CloudInit() (string, error) {
	script, err := h.Script()
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(script)); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return strings.NewReplacer("SCRIPT-FILE", scriptFile, "SCRIPT", base64.StdEncoding.EncodeToString(b.Bytes())).Replace(cloudInit), nil
}

// Role returns the files of an Ansible role, by their paths in its folder.
func (h *Host) Role() (map[string]string, error) {
	script, err := h.Script()
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"tasks/main.yml":            marker + "\n" + strings.ReplaceAll(roleTasks, "SCRIPT-FILE", scriptFile),
		"files/gatepass-host-setup": script,
	}, nil
}

// own tells whether a file was written by host setup.
func own(content string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(content, "#!/bin/sh\n"), "\n")
	return first == marker
}
