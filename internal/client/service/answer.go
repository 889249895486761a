package service

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// broken sorts the failures of an attempt that got no answer.
func (c *Client) broken(err error, idToken secret) error {
	// The outer error repeats method and URL; what happened is inside.
	if inner := (*url.Error)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	err = idToken.hideError(err)
	host := c.config.URL.Host
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return unreachable("the certificate of %s does not verify: %w", host, certificate.Err).
			Hint("if the server's certificate is signed by a private authority, name its PEM file in GATEPASS_CA_FILE; there is no switch to skip the check")
	}
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) || errors.Is(err, http.ErrSchemeMismatch) {
		return unreachable("%s does not speak TLS on this port", host).
			Hint("check the port; https usually is 443")
	}
	why := "cannot be reached"
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return unreachable("there is no host %s", c.config.URL.Hostname()).
			Hint("check --server and GATEPASS_SERVER for a slip")
	case errors.Is(err, context.DeadlineExceeded):
		why = "did not answer in time"
	}
	return &transient{
		failure: unreachable("%s %s: %w", host, why, err).
			Hint("check --server and GATEPASS_SERVER, and that this job may connect to %s", host),
		why: fmt.Sprintf("%s %s", host, why),
	}
}

// read decodes an answer, or turns it into a refusal or a failure.
func (c *Client) read(response *http.Response, idToken secret, whose string, decode func([]byte) error) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return c.broken(err, idToken)
	}
	if len(body) > maxAnswer {
		return c.stranger(response, "an answer larger than 1 MiB")
	}
	body = idToken.hideIn(body)
	media, _, _ := mime.ParseMediaType(idToken.hide(response.Header.Get("Content-Type")))
	switch {
	case response.StatusCode == http.StatusOK && media == "application/json":
		if err := decode(body); err != nil {
			return c.stranger(response, "an answer that is not "+whose)
		}
		return nil
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return c.redirected(response, idToken)
	case response.StatusCode >= 400 && media == api.ProblemContentType:
		var problem api.Problem
		if err := json.Unmarshal(body, &problem); err == nil && problem.Code != "" {
			return c.refused(response, &problem)
		}
	}
	return c.stranger(response, describe(media))
}

// refused is a no from the service itself.
func (c *Client) refused(response *http.Response, problem *api.Problem) error {
	problem.Status = response.StatusCode
	e := &cli.Error{Exit: cli.ExitRefused, Err: problem}
	if response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests {
		e.Exit = cli.ExitUnreachable
	}
	return c.maybeTransient(response, e, fmt.Sprintf("%s answers %d %s", c.config.URL.Host, response.StatusCode, words.Clean(string(problem.Code))))
}

// stranger is an answer that the join service does not give: from a proxy, a
// gateway in front of it, or another program altogether.
func (c *Client) stranger(response *http.Response, what string) error {
	host, status := c.config.URL.Host, response.StatusCode
	e := unreachable("%s answers %d with %s, which is not from the join service", host, status, what)
	switch {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		e.Exit = cli.ExitRefused
		e.Hint("something in front of the service refuses this job: a gateway, a firewall or a proxy; ask who runs it")
	case status == http.StatusTooManyRequests:
		e.Hint("the gateway in front of the service limits requests; run the job again later")
	case status >= 500:
		e.Hint("the service or a proxy in front of it is in trouble; run the job again later")
	default:
		e.Hint("check --server and GATEPASS_SERVER: is this the address that the deployment printed?")
	}
	return c.maybeTransient(response, e, fmt.Sprintf("%s answers %d", host, status))
}

// maybeTransient marks the statuses after which the same request may be sent again.
func (c *Client) maybeTransient(response *http.Response, err error, why string) error {
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &transient{failure: err, why: why, after: retryAfter(response.Header, time.Now())}
	}
	return err
}

func (c *Client) redirected(response *http.Response, idToken secret) error {
	where := "elsewhere"
	if to, err := url.Parse(idToken.hide(response.Header.Get("Location"))); err == nil && to.Host != "" {
		where = "to " + words.Clean(to.Scheme+"://"+to.Host)
	}
	return unreachable("%s redirects %s, and redirects are not followed", c.config.URL.Host, where).
		Hint("give the service's final address; the ID token is sent to no other host")
}

func describe(media string) string {
	switch media {
	case "":
		return "no content type"
	case "text/html":
		return "an HTML page"
	case "application/json":
		return "JSON that is no problem report"
	}
	return words.Clean(media)
}
