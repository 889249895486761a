package hostsetup

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ReloadCommand has a running sshd read its configuration again, on Debian and on others.
const ReloadCommand = "systemctl reload ssh 2>/dev/null || systemctl reload sshd"

// endOfFile ends files in the script; no line of a file is this one.
const endOfFile = "END-OF-FILE"

// scriptHead defines what the script does to each file: the same as Apply, by a shell.
const scriptHead = `#!/bin/sh
# Sets this host up for certificates of Gatepass. Run it as root; a second run changes nothing.
(
set -eu
umask 022
grep -Eiqs '^[[:space:]]*Include[[:space:]].*sshd_config\.d' ` + mainConfigFile + ` || {
  echo '` + mainConfigFile + ` does not include sshd_config.d: write ` + IncludeLine + ` as its first line' >&2
  exit 1
}
put() {
  if [ -e "$1" ] && [ "$(head -n 1 "$1")" != '` + marker + `' ]; then
    echo "$1: not written by gatepassctl host setup, and not overwritten" >&2
    exit 1
  fi
  cat > ` + Folder + `/.new
  mv -f ` + Folder + `/.new "$1"
}
back() {
  if [ -e ` + Folder + `/.old ]; then mv -f ` + Folder + `/.old ` + ConfigFile + `; else rm -f ` + ConfigFile + `; fi
  echo "$1; ` + ConfigFile + ` is as before" >&2
  exit 1
}
mkdir -p ` + PrincipalsDir + ` ` + SSHFolder + `/sshd_config.d
`

// Script returns files as a script for a shell, which can be pasted as well: it runs in
// a shell of its own.
func Script(files []File) string {
	var b strings.Builder
	b.WriteString(scriptHead)
	b.WriteString(removeOthers(files))
	for _, f := range files {
		if f.Keep {
			fmt.Fprintf(&b, "[ -e %s ] || : > %s\n", f.Path, f.Path)
			continue
		}
		if f.Path == ConfigFile {
			fmt.Fprintf(&b, "rm -f %[1]s/.old\n[ ! -e %[2]s ] || cp -p %[2]s %[1]s/.old\n", Folder, ConfigFile)
		}
		fmt.Fprintf(&b, "put %s <<'%s'\n%s%s\n", f.Path, endOfFile, f.Content, endOfFile)
	}
	b.WriteString("sshd -t || back 'sshd refuses its configuration'\n")
	for _, account := range accountsOf(files) {
		// Of several lines sshd takes the first, which may be another file's.
		fmt.Fprintf(&b, "sshd -T -C 'user=%s,%s' | grep -Fiqx 'AuthorizedPrincipalsFile %s/%%u' || back 'another line of the configuration names other principals for %s'\n",
			account, noClient, PrincipalsDir, account)
	}
	fmt.Fprintf(&b, "rm -f %s/.old\necho 'done; now reload sshd: %s'\n)\n", Folder, ReloadCommand)
	return b.String()
}

func accountsOf(files []File) (accounts []string) {
	for _, f := range files {
		if name, ok := strings.CutPrefix(f.Path, PrincipalsDir+"/"); ok {
			accounts = append(accounts, name)
		}
	}
	return accounts
}

// removeOthers takes away the principals of accounts that are not set up.
func removeOthers(files []File) string {
	return `for file in ` + PrincipalsDir + `/*; do
  case "${file##*/}" in
  '` + strings.Join(accountsOf(files), "' | '") + `') ;;
  *) if [ ! -e "$file" ]; then :
     elif [ "$(head -n 1 "$file")" = '` + marker + `' ]; then rm "$file"
     else echo "warning: $file: lets into an account, and is not written by gatepassctl host setup" >&2; fi ;;
  esac
done
`
}

// CloudConfig returns files as user data of cloud-init, for hosts that are new.
func CloudConfig(files []File) (string, error) {
	type entry struct {
		Path        string `yaml:"path"`
		Owner       string `yaml:"owner"`
		Permissions string `yaml:"permissions"`
		Content     string `yaml:"content"`
	}
	var config struct {
		Files []entry  `yaml:"write_files"`
		Run   []string `yaml:"runcmd"`
	}
	for _, f := range files {
		config.Files = append(config.Files, entry{f.Path, "root:root", fmt.Sprintf("%04o", fileMode), f.Content})
	}
	config.Run = []string{"sshd -t && { " + ReloadCommand + "; }"}
	var b bytes.Buffer
	b.WriteString("#cloud-config\n")
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(config); err != nil {
		return "", err
	}
	return b.String(), e.Close()
}
