package jwks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
)

// discoveryPath is appended to an issuer (OpenID Connect Discovery 1.0 §4.1).
const discoveryPath = "/.well-known/openid-configuration"

// FetchError says why an issuer's key set could not be fetched.
type FetchError struct {
	Issuer string
	// Reason is for administrators: one printable line of at most 300
	// characters. It may tell addresses of the network Gatepass runs in, so
	// it is not for build logs.
	Reason string
	cause  error
}

func (e *FetchError) Error() string {
	return fmt.Sprintf("fetching the key set of %s: %s", oneLine(e.Issuer, maxFailure), e.Reason)
}

func (e *FetchError) Unwrap() error { return e.cause }

// Fetch discovers and fetches an issuer's key set and returns it as Clean does.
// client comes from NewHTTPClient; whatever it is, redirects are not followed,
// cookies not kept and a call has an end. It calls CloseIdleConnections on it. Every
// error is a *FetchError.
func Fetch(ctx context.Context, client *http.Client, issuer string) (jwks []byte, dropped []Dropped, err error) {
	c := *client
	c.CheckRedirect, c.Jar = noRedirect, nil
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	defer c.CloseIdleConnections()
	jwks, dropped, err = fetch(ctx, &c, issuer)
	if err != nil {
		return nil, dropped, &FetchError{Issuer: issuer, Reason: oneLine(err.Error(), maxFailure), cause: err}
	}
	return jwks, dropped, nil
}

func fetch(ctx context.Context, c *http.Client, issuer string) ([]byte, []Dropped, error) {
	if err := ValidateIssuer(issuer); err != nil {
		return nil, nil, err
	}
	keysURL, err := discover(ctx, c, issuer)
	if err != nil {
		return nil, nil, fmt.Errorf("discovery document: %w", err)
	}
	body, err := get(ctx, c, keysURL)
	if err != nil {
		return nil, nil, fmt.Errorf("key set at %s: %w", keysURL.Host, err)
	}
	return Clean(body)
}

// discover returns the issuer's jwks_uri.
func discover(ctx context.Context, c *http.Client, issuer string) (*url.URL, error) {
	u, err := parseHTTPS(issuer + discoveryPath)
	if err != nil {
		return nil, err
	}
	body, err := get(ctx, c, u)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("cannot be read as JSON: %w", err)
	}
	// Byte for byte (OpenID Connect Discovery 1.0 §4.3): whoever can put a file
	// on a host must not become another issuer of it.
	if doc.Issuer != issuer {
		return nil, fmt.Errorf("is that of issuer %s; write the issuer in the token rule exactly so, if it is the right one", quote(doc.Issuer))
	}
	keysURL, err := parseHTTPS(doc.JWKSURI)
	if err != nil {
		return nil, fmt.Errorf("jwks_uri %s: %w", quote(doc.JWKSURI), err)
	}
	return keysURL, nil
}

// get returns the body of a plain 200 answer of at most maxBytes.
func get(ctx context.Context, c *http.Client, u *url.URL) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "gatepass")
	resp, err := c.Do(req)
	if err != nil {
		return nil, explain(err, u)
	}
	defer resp.Body.Close()
	if err := checkAnswer(resp, u); err != nil {
		return nil, err
	}
	// One byte more than allowed tells a body that is too large from one that
	// is just as large; Content-Length may lie.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	if err != nil {
		return nil, explain(err, u)
	}
	if len(body) > maxBytes {
		return nil, fmt.Errorf("answer is larger than %d bytes", maxBytes)
	}
	return body, nil
}

// checkAnswer refuses an answer whose body shall not be read.
func checkAnswer(resp *http.Response, u *url.URL) error {
	switch code := resp.StatusCode; {
	case code >= 300 && code < 400:
		return fmt.Errorf("answered %d, a redirect to %s; redirects are not followed, so write the issuer's final URL in the token rule",
			code, quote(resp.Header.Get("Location")))
	case code == http.StatusNotFound && u.Hostname() == "api.bitbucket.org":
		return errors.New("answered 404; Bitbucket publishes it only after a step with oidc: true has run once in the workspace, " +
			"so run one, or check the workspace in the issuer's URL")
	case code == http.StatusNotFound:
		return errors.New("answered 404; check the issuer's URL in the token rule")
	case code == http.StatusTooManyRequests || code >= 500:
		return fmt.Errorf("answered %d %s; the issuer is overloaded or down, and is asked again at the next refresh", code, http.StatusText(code))
	case code != http.StatusOK:
		return fmt.Errorf("answered %d %s instead of 200", code, http.StatusText(code))
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return fmt.Errorf("answer is compressed (%s) though that was not asked for", quote(enc))
	}
	return nil
}

// explain says what to do about a connection that failed.
func explain(err error, u *url.URL) error {
	var (
		urlErr      *url.Error
		addrErr     *addressError
		dnsErr      *net.DNSError
		authority   x509.UnknownAuthorityError
		certificate *tls.CertificateVerificationError
		netErr      net.Error
	)
	if errors.As(err, &urlErr) {
		err = urlErr.Err // its text repeats method and URL
	}
	hp, hpErr := hostPort(u.Host)
	if hpErr != nil {
		hp = u.Host
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &addrErr):
		return fmt.Errorf("%s: %w; if it is yours and shall be reached there, put %s into GATEPASS_PRIVATE_ISSUERS", u.Host, addrErr, hp)
	case errors.As(err, &authority):
		return fmt.Errorf("%s: %w; if it has a certificate of your own authority, put %s into GATEPASS_PRIVATE_ISSUERS and the authority into GATEPASS_ISSUER_CA",
			u.Host, err, hp)
	case errors.As(err, &certificate):
		return fmt.Errorf("%s: %w", u.Host, err)
	case errors.As(err, &dnsErr) && dnsErr.IsNotFound:
		return fmt.Errorf("%s: %w; check the issuer's URL in the token rule", u.Host, err)
	case errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("%s: no whole answer in time: %w", u.Host, err)
	}
	return fmt.Errorf("%s: %w", u.Host, err)
}
