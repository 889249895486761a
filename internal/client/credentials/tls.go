package credentials

import (
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Files of a TLS client, as tbot's specific names have them.
const (
	fileClientCert = "tls.crt"
	fileClientKey  = "tls.key"
	fileServerCAs  = "tls.cas"
)

// tlsFiles are the files that most programs with TLS take.
func tlsFiles(cas ServerCAs) []file {
	return []file{
		{fileClientCert, (*granted).certificate},
		{fileClientKey, (*granted).privateKey},
		{fileServerCAs, cas.content},
	}
}

// clientCert asks for an X.509 client certificate, which is named by its usage.
func clientCert(ask api.CredentialRequest) api.CredentialRequest {
	ask.Name, ask.Type = ask.Usage, api.TypeX509
	return ask
}

// maxName bounds names as the rule language does.
const maxName = 64

// checkName refuses names that no role can grant, before an ID token is spent on one.
func checkName(flag, value, example string) error {
	printable := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
	switch {
	case value == "":
		return cli.Misused("--%s is missing", flag).Hint("write it like --%s=%s; the bot's role must grant it", flag, example)
	case len(value) > maxName || !printable:
		return cli.Misused("--%s %q is not a name of at most %d printable characters", flag, words.Clean(value), maxName).
			Hint("write it like --%s=%s", flag, example)
	}
	return nil
}

// only reports whether a list of a certificate's subject holds exactly the values, in any order.
func only(have []string, want ...string) bool {
	want = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "" })
	have = slices.Clone(have)
	slices.Sort(have)
	slices.Sort(want)
	return slices.Equal(have, want)
}
