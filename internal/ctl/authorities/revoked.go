package authorities

import (
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// revokeAnswer is what revoke prints for machines.
type revokeAnswer struct {
	Revocations []store.Revocation `json:"revocations"`
	Added       int                `json:"added"` // that were not revoked before
	// LeftOut are those of Revocations that the lists have no room for.
	LeftOut []authority.LeftOut `json:"left_out,omitempty"`
	DryRun  bool                `json:"dry_run,omitempty"`
	// JWTs are valid and cannot be revoked.
	JWTs      int        `json:"jwts"`
	JWTsUntil *time.Time `json:"jwts_until,omitempty"`

	what   string
	before int // revocations that were stored before
	stored bool
	files  listFiles
}

// consumer is who takes a list of one authority, and how.
type consumer struct{ who, how string }

// consumers of each authority's certificates.
var consumers = map[cert.Purpose][]consumer{
	cert.SSHUser: {{"sshd", "RevokedKeys /etc/ssh/gatepass/revoked.krl   (read at each login; while the file is missing every key is refused)"}},
	cert.X509Identity: {{"nginx", "ssl_crl /etc/nginx/gatepass-x509-identity.crl;   (then nginx -s reload)"},
		{"openssl", "openssl verify -crl_check -CAfile ca.pem -CRLfile x509-identity.crl tlscert"}},
	cert.X509Database:    {{"PostgreSQL", "ssl_crl_file = 'gatepass-x509-database.crl'   (then pg_ctl reload; sessions that are open go on)"}},
	cert.X509Application: {{"nginx", "ssl_crl /etc/nginx/gatepass-x509-application.crl;   (then nginx -s reload)"}},
	cert.X509Kubernetes:  {{"Kubernetes", "takes no list: remove the role bindings of the user, or wait until the certificate ends"}},
}

// printRevoked says what was revoked, where the lists are, and who must take them.
func (c *commands) printRevoked(a revokeAnswer, issued authority.Issued, publicURL string) {
	count := issued.Certificates()
	var left [][]string
	for _, l := range a.LeftOut {
		count[l.Authority] -= l.Certificates
		left = append(left, []string{"  " + string(l.Authority), ctl.Plural(l.Certificates, "certificate", "certificates"), "the last ends at " + ctl.Stamp(l.Until)})
	}
	verb := "revoked"
	if a.DryRun {
		verb = "would revoke"
	}
	total := 0
	for _, n := range count {
		total += n
	}
	if total == 0 && len(left) == 0 {
		fmt.Fprintf(c.Out, "nothing of %s is valid any longer that could be revoked\n", a.what)
	} else {
		fmt.Fprintf(c.Out, "%s %s of %s (%s, %d of them revoked before)\n", verb,
			ctl.Plural(total, "certificate", "certificates"), a.what, ctl.Plural(len(a.Revocations), "join", "joins"), a.before)
	}
	var rows [][]string
	for _, p := range cert.Purposes() {
		if count[p] == 0 {
			continue
		}
		rows = append(rows, []string{"  " + string(p), ctl.Plural(count[p], "certificate", "certificates")})
		for _, user := range consumers[p] {
			rows = append(rows, []string{"    " + user.who, user.how})
		}
	}
	c.Table(rows)
	if len(left) > 0 {
		fmt.Fprintln(c.Out, "not revoked, since the lists are full:")
		c.Table(left)
	}
	if a.JWTs > 0 {
		fmt.Fprintf(c.Out, "%s cannot be revoked, and the last ends at %s: remove what their audiences grant them, or rotate the authority jwt\n",
			ctl.Plural(a.JWTs, "JWT", "JWTs"), ctl.Stamp(*a.JWTsUntil))
	}
	if a.DryRun {
		return
	}
	if total > 0 && a.stored {
		fmt.Fprintf(c.Out, "within %s the service serves the lists at %s and %s\n", authority.ListsMaxAge, publicURL+api.PathRevokedKRL, publicURL+api.PathRevokedCRL)
	}
	for _, file := range []string{a.files.krl, a.files.crl} {
		if file != "" {
			fmt.Fprintf(c.Out, "wrote %s: give it to the servers\n", file)
		}
	}
}
