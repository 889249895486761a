package sshdtest

import (
	"bytes"
	"fmt"
	"strings"
)

// firstUID is the user that the first login runs as where the server is root; the
// next have the numbers after it. Nothing else of the machine should have them.
const firstUID = 12345

// account is one line of the server's own passwd(5).
type account struct {
	name     string
	uid, gid int
	home     string
}

// accountFiles returns passwd, group and shadow for the server: the accounts, then
// every line of the machine's own passwd and group that they do not replace, so that
// the names of files' owners still resolve.
func accountFiles(accounts []account, passwd, group []byte, privileged bool) (newPasswd, newGroup, newShadow string) {
	var p, g, s strings.Builder
	ours := make(map[string]bool)
	for _, a := range accounts {
		ours[a.name] = true
		fmt.Fprintf(&p, "%s:x:%d:%d::%s:/bin/sh\n", a.name, a.uid, a.gid, a.home)
		fmt.Fprintf(&g, "%s:x:%d:\n", a.name, a.gid)
		// "*": no password fits. "!" would make sshd refuse the account as locked,
		// as root's is on some machines, whatever its certificate says.
		fmt.Fprintf(&s, "%s:*:19000:0:99999:7:::\n", a.name)
	}
	appendOthers(&p, passwd, ours)
	if !privileged {
		// sshd gives a terminal to group tty, which the caller cannot: without the
		// group it gives it to the login's own.
		ours["tty"] = true
	}
	appendOthers(&g, group, ours)
	return p.String(), g.String(), s.String()
}

func appendOthers(to *strings.Builder, file []byte, ours map[string]bool) {
	for line := range bytes.Lines(file) {
		name, _, ok := bytes.Cut(line, []byte(":"))
		if ok && !ours[string(name)] {
			to.Write(bytes.TrimRight(line, "\n"))
			to.WriteByte('\n')
		}
	}
}

// sshdAccounts returns the accounts for logins, with homes under root. privileged
// says that sshd runs as root and can become anyone; otherwise each login is the
// caller, since such an sshd lets in nobody else.
func sshdAccounts(logins []string, root string, privileged bool, uid, gid int, passwd []byte) []account {
	var accounts []account
	next := firstUID
	for _, login := range logins {
		a := account{name: login, uid: uid, gid: gid, home: root + "/home/" + login}
		switch {
		case login == "root":
			continue // below, listed or not
		case privileged:
			a.uid, a.gid = next, next
			next++
		}
		accounts = append(accounts, a)
	}
	// root keeps its number and gets a home without anyone's files.
	accounts = append(accounts, account{name: "root", home: root + "/home/root"})
	if !bytes.HasPrefix(passwd, []byte("sshd:")) && !bytes.Contains(passwd, []byte("\nsshd:")) {
		// Separation of privileges needs the account; a package makes it, a copied binary does not.
		accounts = append(accounts, account{name: "sshd", uid: next, gid: next, home: "/run/sshd"})
	}
	return accounts
}
