package authorities

import (
	"fmt"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/ctl"
)

// trustees are who trusts an authority, and how they are brought what they trust.
type trustees struct {
	who   string   // takes the list of trusted keys
	bring []string // commands, on the machine that has it or for it
	check string   // a command there that lists what is trusted
	renew []string // what has to be made again when the new key signs; empty if jobs do it
	seen  string   // a command that shows by which key something new was signed
}

// trusteesOf says who has to be brought the keys of an authority. export begins the
// command that exports them.
func trusteesOf(p cert.Purpose, export string) trustees {
	x509 := func(who, file string, reload ...string) trustees {
		return trustees{
			who:   who,
			bring: append([]string{export + " -o " + file}, reload...),
			check: "openssl crl2pkcs7 -nocrl -certfile " + file + " | openssl pkcs7 -print_certs -noout",
			seen:  "openssl x509 -noout -issuer -in CERTIFICATE",
		}
	}
	switch p {
	case cert.SSHUser:
		return trustees{
			who:   "every sshd, in the file that TrustedUserCAKeys names; it is read at each login",
			bring: []string{export + " -o user_ca.pub", "gatepassctl host setup --logins LOGINS --authority user_ca.pub, with the options that each host was set up with; run on the host what it prints"},
			check: "ssh-keygen -l -f /etc/ssh/gatepass/user_ca.pub",
			seen:  "ssh-keygen -L -f key-cert.pub, of a job that joined since",
		}
	case cert.SSHHost:
		return trustees{
			who:   "every SSH client that knows hosts by this authority; jobs are told when they join",
			bring: []string{export + " --hosts '*.example.com'    prints the lines for known_hosts"},
			check: "ssh-keygen -l -f /etc/ssh/ssh_known_hosts",
			renew: []string{"gatepassctl host sign --principals NAMES /etc/ssh/ssh_host_ed25519_key.pub, for every host; then reload its sshd"},
			seen:  "ssh-keygen -L -f /etc/ssh/ssh_host_ed25519_key-cert.pub, on every host",
		}
	case cert.X509Identity:
		return x509("every service that verifies bots' identities", "gatepass-x509-identity.pem")
	case cert.X509Database:
		return x509("every PostgreSQL, in ssl_ca_file, and other databases", "gatepass-x509-database.pem", "psql -c 'SELECT pg_reload_conf()'")
	case cert.X509Application:
		return x509("every nginx, in ssl_client_certificate, and other proxies", "/etc/nginx/gatepass-x509-application.pem", "nginx -s reload")
	case cert.X509Kubernetes:
		return x509("every kube-apiserver, appended to the file of --client-ca-file; it is read again when it changes", "gatepass-x509-kubernetes.pem")
	}
	return trustees{
		who:   "relying parties that were given a file; the others fetch /.well-known/jwks.json by themselves, and keep it for a while",
		bring: []string{export + " -o jwks.json"},
		check: "curl -s PUBLIC-URL/.well-known/jwks.json",
		seen:  "the kid in the header of a JWT of a job that joined since",
	}
}

// rollout says what to do now that an authority has come to a phase, and how to check it.
func rollout(a authority.State, export string) []string {
	t := trusteesOf(a.Purpose, export)
	used := len(a.InUse())
	list := func() []string {
		return append(append([]string{"bring the list of trusted keys to " + t.who + ":"}, indent(t.bring)...),
			"check, there:", fmt.Sprintf("  %s    shows %s", t.check, ctl.Plural(used, "key", "keys")))
	}
	switch a.Phase() {
	case authority.Announced:
		return list()
	case authority.Switched:
		var lines []string
		if len(t.renew) > 0 {
			lines = append([]string{"have made again:"}, indent(t.renew)...)
		}
		return append(lines, "check that the new key signs:", "  "+t.seen)
	}
	if len(a.Keys) == 1 {
		return nil
	}
	return list()
}

func indent(lines []string) []string {
	return strings.Split("  "+strings.Join(lines, "\n  "), "\n")
}
