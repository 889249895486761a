package admin

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Published are the names of the keys, as KeyName gives them, that a service tells
// others to trust. An authority that it does not have is left out.
type Published map[cert.Purpose][]string

// AskPublished asks the service at a URL.
func AskPublished(ctx context.Context, client *http.Client, url string) (Published, error) {
	var all api.Authorities
	if err := askJSON(ctx, client, url+api.PathAuthorities, &all); err != nil {
		return nil, err
	}
	found := Published{}
	for p, lines := range map[cert.Purpose][]string{cert.SSHUser: all.SSHUser, cert.SSHHost: all.SSHHost} {
		for _, line := range lines {
			key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
			if err != nil {
				return nil, fmt.Errorf("%s has no public key of %s", url, p)
			}
			found[p] = append(found[p], ssh.FingerprintSHA256(key))
		}
	}
	for usage, list := range all.X509 {
		p := cert.Purpose("x509-" + usage)
		for block, rest := pem.Decode([]byte(list)); block != nil; block, rest = pem.Decode(rest) {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s has no certificate of %s", url, p)
			}
			found[p] = append(found[p], "CN="+c.Subject.CommonName)
		}
	}
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
		} `json:"keys"`
	}
	// A service that signs no JWTs has none, and says so by 404.
	if err := askJSON(ctx, client, url+api.PathJWKS, &set); err != nil && !errors.Is(err, errNotThere) {
		return nil, err
	}
	for _, k := range set.Keys {
		found[cert.JWT] = append(found[cert.JWT], "kid "+k.KID)
	}
	return found, nil
}

// errNotThere says that a service has nothing at a path.
var errNotThere = errors.New("404 Not Found")

func askJSON(ctx context.Context, client *http.Client, url string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%s answered %w", url, errNotThere)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(v)
}
