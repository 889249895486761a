package lambda

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/jwks"
)

// The environment variables of the functions. docs/settings.md lists them for
// people; a test holds the two together.
const (
	EnvResourcesTable = "GATEPASS_RESOURCES_TABLE"
	EnvKeySetsTable   = "GATEPASS_KEYSETS_TABLE"
	EnvJoinsTable     = "GATEPASS_JOINS_TABLE"
	EnvPublicURL      = "GATEPASS_PUBLIC_URL"
	EnvTrustDomain    = "GATEPASS_TRUST_DOMAIN"
	EnvMaxTTL         = "GATEPASS_MAX_TTL"
	EnvRecordDays     = "GATEPASS_RECORD_DAYS"
	EnvRefresher      = "GATEPASS_REFRESH_FUNCTION"
	EnvConcurrency    = "GATEPASS_REFRESH_CONCURRENCY"
	EnvStage          = "GATEPASS_STAGE"
	EnvLogLevel       = "GATEPASS_LOG_LEVEL"
)

// EnvKey is the variable that holds the KMS key of a purpose, such as
// GATEPASS_KEY_SSH_USER.
func EnvKey(p cert.Purpose) string {
	return "GATEPASS_KEY_" + strings.ToUpper(strings.ReplaceAll(string(p), "-", "_"))
}

// Defaults of what need not be set.
const (
	DefaultStage   = "default"
	maxConcurrency = 256
	maxRecordDays  = 3650
)

// Common are the settings of both functions.
type Common struct {
	ResourcesTable, KeySetsTable string
	// Stage is the dimension of the metrics.
	Stage    string
	LogLevel slog.Level
}

// JoinSettings are the settings of the function join.
type JoinSettings struct {
	Common
	JoinsTable  string
	PublicURL   string // without a trailing slash
	TrustDomain string
	MaxTTL      time.Duration
	RecordTTL   time.Duration
	// Keys are the KMS keys, by id or ARN, of the authorities that there are.
	Keys map[cert.Purpose]string
	// RefreshFunction is the name or ARN of the function jwks-refresh.
	RefreshFunction string
}

// RefreshSettings are the settings of the function jwks-refresh.
type RefreshSettings struct {
	Common
	Issuers     jwks.ClientConfig
	Concurrency int
}

// ReadJoinSettings reads the settings of join. Its error names each variable
// that is missing or wrong, and says what to write.
func ReadJoinSettings(getenv func(string) string) (JoinSettings, error) {
	e := &environment{get: getenv}
	s := JoinSettings{
		Common:          e.common(),
		JoinsTable:      e.required(EnvJoinsTable, "the name of the table of joins"),
		PublicURL:       e.publicURL(),
		MaxTTL:          e.maxTTL(),
		RecordTTL:       time.Duration(e.number(EnvRecordDays, int(join.DefaultRecordTTL/day), maxRecordDays)) * day,
		Keys:            map[cert.Purpose]string{},
		RefreshFunction: e.required(EnvRefresher, "the name of the function jwks-refresh"),
	}
	s.TrustDomain = e.trustDomain(s.PublicURL)
	for _, p := range cert.Purposes() {
		if key := strings.TrimSpace(getenv(EnvKey(p))); key != "" {
			s.Keys[p] = key
		}
	}
	e.required(EnvKey(cert.SSHUser), "the id or ARN of the KMS key of SSH users; this authority cannot be left out")
	return s, e.problem()
}

// ReadRefreshSettings reads the settings of jwks-refresh, as ReadJoinSettings does.
func ReadRefreshSettings(getenv func(string) string) (RefreshSettings, error) {
	e := &environment{get: getenv}
	s := RefreshSettings{
		Common:      e.common(),
		Concurrency: e.number(EnvConcurrency, jwks.DefaultConcurrency, maxConcurrency),
	}
	var err error
	if s.Issuers, err = jwks.ReadClientConfig(getenv); err != nil {
		e.problems = append(e.problems, err)
	}
	return s, e.problem()
}

const day = 24 * time.Hour

// environment reads variables and gathers what is wrong with them, so that all
// of it is told at once.
type environment struct {
	get      func(string) string
	problems []error
}

func (e *environment) wrong(name string, err error) {
	e.problems = append(e.problems, fmt.Errorf("%s: %w", name, err))
}

// problem is all that is wrong; nil if nothing is.
func (e *environment) problem() error { return errors.Join(e.problems...) }

// required returns a variable that must be set.
func (e *environment) required(name, what string) string {
	v := strings.TrimSpace(e.get(name))
	if v == "" {
		e.wrong(name, fmt.Errorf("is not set; write %s", what))
	}
	return v
}

func (e *environment) common() Common {
	c := Common{
		ResourcesTable: e.required(EnvResourcesTable, "the name of the table of resources"),
		KeySetsTable:   e.required(EnvKeySetsTable, "the name of the table of key sets"),
		Stage:          strings.TrimSpace(e.get(EnvStage)),
	}
	if c.Stage == "" {
		c.Stage = DefaultStage
	}
	if v := strings.TrimSpace(e.get(EnvLogLevel)); v != "" {
		if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil {
			e.wrong(EnvLogLevel, fmt.Errorf("%q is no level; write debug, info, warn or error", v))
		}
	}
	return c
}

// publicURL is where clients reach the service. JWTs name it as their issuer, so
// it must be one that others can ask for our keys.
func (e *environment) publicURL() string {
	v := e.required(EnvPublicURL, "where clients reach the service, like https://join.example.com")
	if v == "" {
		return v
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(v, "/") {
		e.wrong(EnvPublicURL, fmt.Errorf("%q: write it like https://join.example.com, without a trailing slash", v))
	}
	return v
}

// trustDomain defaults to the host of the public URL.
func (e *environment) trustDomain(publicURL string) string {
	v := cmp.Or(strings.TrimSpace(e.get(EnvTrustDomain)), cert.TrustDomainOf(publicURL))
	if err := cert.CheckTrustDomain(v); v != "" && err != nil {
		e.wrong(EnvTrustDomain, err)
	}
	return v
}

func (e *environment) maxTTL() time.Duration {
	v := strings.TrimSpace(e.get(EnvMaxTTL))
	if v == "" {
		return cert.MaxTTL
	}
	ttl, err := time.ParseDuration(v)
	if err != nil || ttl < time.Second || ttl > cert.MaxTTL {
		e.wrong(EnvMaxTTL, fmt.Errorf("%q: write a duration from 1s to %s, like 1h", v, cert.MaxTTL))
	}
	return ttl
}

// number returns a variable from 1 to most.
func (e *environment) number(name string, byDefault, most int) int {
	v := strings.TrimSpace(e.get(name))
	if v == "" {
		return byDefault
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		e.wrong(name, fmt.Errorf("%q: write a number from 1 to %d", v, most))
	}
	return n
}
