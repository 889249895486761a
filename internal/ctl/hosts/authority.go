package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// authoritySource is where host setup has the authority from.
type authoritySource struct {
	file         string
	server       string
	fingerprints []string
}

const howToPin = "take the fingerprints where the store can be read: gatepassctl ca export --type ssh-user --fingerprint"

// userAuthority returns the public keys of the ssh-user authority, one on each line: of
// a file, of the running service if their fingerprints are known, or of the store.
func (c *commands) userAuthority(cmd *cobra.Command, from *authoritySource) (string, error) {
	hasStore, err := c.Named()
	if err != nil {
		return "", err
	}
	switch {
	case from.file != "" && from.server != "":
		return "", cli.Misused("both --authority and --server were given").Hint("write one of them")
	case from.server == "" && len(from.fingerprints) > 0:
		return "", cli.Misused("--fingerprint is about the keys of a --server").Hint("write --server URL as well")
	case from.file != "":
		text, err := c.ReadInput(from.file)
		return string(text), err
	case from.server != "" && len(from.fingerprints) == 0:
		return "", cli.Misused("--server needs --fingerprint SHA256:…, by which the keys are known as the service's").Hint("%s", howToPin)
	case from.server != "":
		return fetchAuthority(cmd.Context(), from)
	case !hasStore:
		return "", cli.Misused("no authority was given for the host to trust").Hint("write --authority FILE, or --server URL and --fingerprint SHA256:…, or --stack NAME or --data DIR")
	}
	return c.storedAuthority(cmd, cert.SSHUser)
}

func (c *commands) storedAuthority(cmd *cobra.Command, p cert.Purpose) (string, error) {
	a, err := c.Authority(cmd.Context(), p)
	if err != nil {
		return "", err
	}
	text, err := authority.Export(a, authority.FormSSH, authority.ExportOptions{})
	return string(text), err
}

// maxAuthority is how much of an answer is read, in bytes.
const maxAuthority = 64 << 10

// fetchAuthority asks the service for its keys. Whoever answers, a key counts only if
// its fingerprint is among those given, so the way there need not be trusted.
func fetchAuthority(ctx context.Context, from *authoritySource) (string, error) {
	url := strings.TrimSuffix(from.server, "/") + api.PathAuthorities + "/ssh-user.pub"
	text, err := get(ctx, url)
	if err != nil {
		return "", cli.Failed("asking %s: %w", url, err).Hint("check the URL, or copy the file and write --authority FILE")
	}
	for rest := []byte(text); len(strings.TrimSpace(string(rest))) > 0; {
		key, _, _, more, err := ssh.ParseAuthorizedKey(rest)
		if err != nil {
			return "", cli.Failed("%s did not answer with public keys", url).Hint("check the URL")
		}
		if print := ssh.FingerprintSHA256(key); !slices.Contains(from.fingerprints, print) {
			return "", cli.Failed("%s has the key %s, which is not among --fingerprint", url, print).Hint("%s", howToPin)
		}
		rest = more
	}
	return text, nil
}

func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers %s", resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAuthority+1))
	if err == nil && len(data) > maxAuthority {
		err = errors.New("it answers with more than any list of keys")
	}
	return string(data), err
}
