package hostsetup

import (
	"context"
	"slices"
	"strings"
)

// checkEffective asks sshd what it would do for each account, all files and Match
// blocks taken together.
func (f *findings) checkEffective(ctx context.Context, d *Dir, h *Host, sshd Sshd, accounts map[string]Account) {
	for _, account := range sortedAccounts(h) {
		out, err := sshd(ctx, "-T", "-C", "user="+account+","+noClient)
		if err != nil {
			f.add("sshd -T", err.Error(), "mend its configuration; sshd -t says the same")
			return
		}
		values := parseEffective(out)
		f.checkEffectiveFor(account, h, values)
		f.checkLetIn(account, accounts[account], values)
		f.checkRevoked(account, d, h, values)
	}
}

// noClient is a client for sshd -T that no Match is about. Older versions want both.
const noClient = "host=client.invalid,addr=192.0.2.1"

// parseEffective reads what sshd -T writes: a keyword and its value on each line.
func parseEffective(out string) map[string][]string {
	values := map[string][]string{}
	for line := range strings.Lines(out) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		values[keyword] = append(values[keyword], value)
	}
	return values
}

// Algorithms without which no certificate of Gatepass is let in.
const (
	signedBy    = "ecdsa-sha2-nistp256"
	certifiedBy = "ecdsa-sha2-nistp256-cert-v01@openssh.com"
)

func (f *findings) checkEffectiveFor(account string, h *Host, values map[string][]string) {
	about := func(keyword string) string { return "sshd, for " + account + ": " + keyword }
	one := func(keyword string) string { return strings.Join(values[keyword], " ") }
	for _, s := range h.settings() {
		if f.notConfigured() {
			break // which says why
		}
		if got := one(strings.ToLower(s.keyword)); got != s.value {
			f.add(about(s.keyword), "is "+orNone(got)+", not "+s.value, "find where it is set: grep -ri "+s.keyword+" "+SSHFolder+"; then remove that line")
		}
	}
	if got := one("authorizedprincipalscommand"); got != "none" && got != "" {
		f.add(about("AuthorizedPrincipalsCommand"), "is "+got+", which lets in by principals of its own", "remove it")
	}
	if one("pubkeyauthentication") == "no" {
		f.add(about("PubkeyAuthentication"), "is no, so no certificate is let in", "write PubkeyAuthentication yes")
	}
	for _, a := range []struct{ keyword, needs string }{
		{"casignaturealgorithms", signedBy},
		{"pubkeyacceptedalgorithms", certifiedBy}, {"pubkeyacceptedkeytypes", certifiedBy}, // the same, before 8.5
	} {
		if list := one(a.keyword); list != "" && !slices.Contains(strings.Split(list, ","), a.needs) {
			f.add(about(a.keyword), "lacks "+a.needs, "add it: "+a.keyword+" +"+a.needs)
		}
	}
	for _, name := range h.HostCertificates {
		if !f.notConfigured() && !slices.Contains(values["hostcertificate"], name) {
			f.add(about("HostCertificate"), "does not name "+name, applyAgain)
		}
		if key := strings.TrimSuffix(name, certificateSuffix); !slices.Contains(values["hostkey"], key) {
			f.add(about("HostKey"), "does not name "+key+", so its certificate is not shown", "add HostKey "+key)
		}
	}
}

// checkRevoked looks for a list of revoked keys that is not of h: without it sshd refuses
// every key.
func (f *findings) checkRevoked(account string, d *Dir, h *Host, values map[string][]string) {
	list := strings.Join(values["revokedkeys"], " ")
	if h.RevokedKeys || list == "" || list == "none" {
		return
	}
	if _, err := d.readAnywhere(list); err != nil {
		f.add("sshd, for "+account+": RevokedKeys", "is "+list+", which cannot be read, so every key is refused", "make it, or remove the line")
	}
}

// notConfigured tells whether it was found that sshd does not read what is to be set.
func (f *findings) notConfigured() bool {
	return slices.ContainsFunc(*f, func(found Finding) bool { return found.About == ConfigFile || found.About == mainConfigFile })
}

func orNone(s string) string {
	if s == "" {
		return "not set"
	}
	return s
}
