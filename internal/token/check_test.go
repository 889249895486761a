package token_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
)

// claim, without and options shorten the tables.
func claim(name string, value any) []issuertest.Option {
	return []issuertest.Option{issuertest.WithClaim(name, value)}
}

func without(name string) []issuertest.Option {
	return []issuertest.Option{issuertest.WithoutClaim(name)}
}

func claims(nameValue ...any) (options []issuertest.Option) {
	for i := 0; i < len(nameValue); i += 2 {
		options = append(options, issuertest.WithClaim(nameValue[i].(string), nameValue[i+1]))
	}
	return options
}

// expectVerdict expects the same code from the precheck and from the check, so
// that neither can be relied upon by mistake; or, if late, from the check alone.
// What a token rule has a say in is always late: a stranger is told nothing of it.
func expectVerdict(t *testing.T, w world, raw string, e token.Expect, now time.Time, want token.Code, late bool) {
	t.Helper()
	early := want
	switch want {
	case token.WrongIssuer, token.WrongAudience, token.TooOld:
		late = true
	}
	if late {
		early = accept
	}
	expectVerdicts(t, w, raw, e, now, early, want)
}

func expectVerdicts(t *testing.T, w world, raw string, e token.Expect, now time.Time, early, want token.Code) {
	t.Helper()
	p, err := token.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	expectCode(t, p.Precheck(now), early, e, raw)
	v, err := p.VerifySignature(w.keys, e.Method)
	if err != nil {
		t.Fatal(err)
	}
	expectCode(t, v.Check(e, now), want, e, raw)
}

func TestIssuer(t *testing.T) {
	w := ecWorld()
	iss := w.BitbucketURL()
	for name, tc := range map[string]struct {
		options []issuertest.Option
		want    token.Code
	}{
		"equal":                 {nil, accept},
		"slash more":            {claim("iss", iss+"/"), token.WrongIssuer},
		"upper-case host":       {claim("iss", strings.Replace(iss, "api.", "API.", 1)), token.WrongIssuer},
		"upper-case workspace":  {claim("iss", strings.Replace(iss, "acme", "Acme", 1)), token.WrongIssuer},
		"another workspace":     {claim("iss", strings.Replace(iss, "acme", "evil", 1)), token.WrongIssuer},
		"query":                 {claim("iss", iss+"?"), token.WrongIssuer},
		"fragment":              {claim("iss", iss+"#"), token.WrongIssuer},
		"default port":          {claim("iss", strings.Replace(iss, ".org/", ".org:443/", 1)), token.WrongIssuer},
		"http":                  {claim("iss", strings.Replace(iss, "https", "http", 1)), token.WrongIssuer},
		"percent-encoded":       {claim("iss", strings.Replace(iss, "acme", "%61cme", 1)), token.WrongIssuer},
		"space before":          {claim("iss", " "+iss), token.WrongIssuer},
		"only its beginning":    {claim("iss", "https://api.bitbucket.org"), token.WrongIssuer},
		"absent":                {without("iss"), token.MissingClaim},
		"empty":                 {claim("iss", ""), token.MissingClaim},
		"null":                  {claim("iss", nil), token.Malformed},
		"number":                {claim("iss", 1), token.Malformed},
		"array that has it":     {claim("iss", []string{iss}), token.Malformed},
		"ISS in upper case too": {claim("ISS", "https://evil.example"), accept},
	} {
		t.Run(name, func(t *testing.T) {
			expectVerdict(t, w, w.mintBitbucket(t, tc.options...), w.bitbucket(), now(), tc.want, false)
		})
	}
}

func TestAudience(t *testing.T) {
	w := ecWorld()
	for name, tc := range map[string]struct {
		options []issuertest.Option
		want    token.Code
	}{
		"string":                     {claim("aud", audience), accept},
		"array of one":               {claim("aud", []string{audience}), accept},
		"first of an array":          {claim("aud", []string{audience, "https://other.example"}), accept},
		"last of an array":           {claim("aud", []string{"https://other.example", audience}), accept},
		"string with azp":            {claims("aud", audience, "azp", audience), accept},
		"array with azp":             {claims("aud", []string{"https://other.example", audience}, "azp", audience), accept},
		"another":                    {claim("aud", "https://other.example"), token.WrongAudience},
		"array of others":            {claim("aud", []string{"https://other.example", "x"}), token.WrongAudience},
		"slash more":                 {claim("aud", audience+"/"), token.WrongAudience},
		"upper case":                 {claim("aud", strings.ToUpper(audience)), token.WrongAudience},
		"its beginning":              {claim("aud", audience[:len(audience)-1]), token.WrongAudience},
		"several in one string":      {claim("aud", audience+" https://other.example"), token.WrongAudience},
		"array of an empty string":   {claim("aud", []string{""}), token.MissingClaim},
		"array of two empty strings": {claim("aud", []string{"", ""}), token.WrongAudience},
		"absent":                     {without("aud"), token.MissingClaim},
		"empty string":               {claim("aud", ""), token.MissingClaim},
		"empty array":                {claim("aud", []string{}), token.MissingClaim},
		"null":                       {claim("aud", nil), token.Malformed},
		"number":                     {claim("aud", 1), token.Malformed},
		"object":                     {claim("aud", map[string]string{"0": audience}), token.Malformed},
		"array with a number":        {claim("aud", []any{audience, 1}), token.Malformed},
		"array with null":            {claim("aud", []any{audience, nil}), token.Malformed},
		"array in an array":          {claim("aud", []any{[]string{audience}}), token.Malformed},
		"azp of another":             {claims("aud", audience, "azp", "https://other.example"), token.WrongAudience},
		"array, azp of the other":    {claims("aud", []string{audience, "https://other.example"}, "azp", "https://other.example"), token.WrongAudience},
		"azp empty":                  {claims("aud", audience, "azp", ""), token.WrongAudience},
		"azp null":                   {claims("aud", audience, "azp", nil), token.Malformed},
		"azp an array":               {claims("aud", audience, "azp", []string{audience}), token.Malformed},
		"azp right, aud of another":  {claims("aud", "https://other.example", "azp", audience), token.WrongAudience},
	} {
		t.Run(name, func(t *testing.T) {
			expectVerdict(t, w, w.mintBitbucket(t, tc.options...), w.bitbucket(), now(), tc.want, true)
		})
	}
}

// A rule that lost its audience or issuer admits nobody.
func TestEmptyExpectationsNeverMatch(t *testing.T) {
	w := ecWorld()
	e := w.bitbucket()
	e.Audience = ""
	expectVerdict(t, w, w.mintBitbucket(t, claim("aud", []string{"", "x"})...), e, now(), token.WrongAudience, false)
	e = w.bitbucket()
	e.Issuer = ""
	expectVerdict(t, w, w.mintBitbucket(t), e, now(), token.WrongIssuer, false)
	expectVerdict(t, w, w.mintBitbucket(t), token.Expect{Method: "bitbucket"}, now(), token.WrongIssuer, false)
}

func TestSubject(t *testing.T) {
	w := ecWorld()
	for name, tc := range map[string]struct {
		options []issuertest.Option
		want    token.Code
	}{
		"any":    {claim("sub", "x"), accept},
		"long":   {claim("sub", strings.Repeat("x", 1000)), accept},
		"absent": {without("sub"), token.MissingClaim},
		"empty":  {claim("sub", ""), token.MissingClaim},
		"null":   {claim("sub", nil), token.Malformed},
		"number": {claim("sub", 1), token.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			expectVerdict(t, w, w.mintBitbucket(t, tc.options...), w.bitbucket(), now(), tc.want, true)
		})
	}
}

// Every boundary, to the nanosecond: the leeway is 30 s, the greatest age one hour.
func TestTimeBoundaries(t *testing.T) {
	w := ecWorld()
	iat := now()
	at := func(d time.Duration) time.Time { return iat.Add(d) }
	unix := func(d time.Duration) int64 { return at(d).Unix() }
	const s, ns, h = time.Second, time.Nanosecond, time.Hour
	for name, tc := range map[string]struct {
		options []issuertest.Option
		now     time.Time
		want    token.Code
	}{
		"at once": {nil, iat, accept},

		"1 s before exp":          {claim("exp", unix(60*s)), at(59 * s), accept},
		"at exp":                  {claim("exp", unix(60*s)), at(60 * s), accept},
		"exp + 29 s":              {claim("exp", unix(60*s)), at(89 * s), accept},
		"1 ns before exp + 30 s":  {claim("exp", unix(60*s)), at(90*s - ns), accept},
		"exp + 30 s":              {claim("exp", unix(60*s)), at(90 * s), token.Expired},
		"exp + 31 s":              {claim("exp", unix(60*s)), at(91 * s), token.Expired},
		"exp of 1970":             {claim("exp", 0), iat, token.Expired},
		"exp in the year 9999":    {claim("exp", 253402300799), at(h), accept},
		"fraction of exp, before": {claim("exp", json.Number("1767323105.5")), time.Unix(1767323135, 499_000_000), accept},
		"fraction of exp, after":  {claim("exp", json.Number("1767323105.5")), time.Unix(1767323135, 500_000_000), token.Expired},

		"nbf - 30 s":             {claim("nbf", unix(60*s)), at(30 * s), accept},
		"nbf - 29 s":             {claim("nbf", unix(60*s)), at(31 * s), accept},
		"1 ns before nbf - 30 s": {claim("nbf", unix(60*s)), at(30*s - ns), token.NotYetValid},
		"nbf - 31 s":             {claim("nbf", unix(60*s)), at(29 * s), token.NotYetValid},
		"nbf long ago":           {claim("nbf", 0), iat, accept},

		"iat - 29 s":             {nil, at(-29 * s), accept},
		"iat - 30 s":             {nil, at(-30 * s), accept},
		"1 ns before iat - 30 s": {nil, at(-30*s - ns), token.NotYetValid},
		"iat - 31 s":             {nil, at(-31 * s), token.NotYetValid},
		"nbf cannot excuse iat":  {claim("nbf", 0), at(-31 * s), token.NotYetValid},

		"age of 1 h":         {claim("exp", unix(24*h)), at(h), accept},
		"age of 1 h + 30 s":  {claim("exp", unix(24*h)), at(h + 30*s), accept},
		"1 ns more":          {claim("exp", unix(24*h)), at(h + 30*s + ns), token.TooOld},
		"age of 1 h + 31 s":  {claim("exp", unix(24*h)), at(h + 31*s), token.TooOld},
		"iat of 1970":        {claim("iat", 0), iat, token.TooOld},
		"expired goes first": {nil, at(2 * h), token.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			expectVerdict(t, w, w.mintBitbucket(t, tc.options...), w.bitbucket(), tc.now, tc.want, false)
		})
	}
}

func TestTimesMustBeNumbersInRange(t *testing.T) {
	w := ecWorld()
	for _, name := range []string{"exp", "iat", "nbf"} {
		for what, value := range map[string]any{
			"null":                   nil,
			"string":                 "1767323045",
			"boolean":                true,
			"array":                  []int{1767323045},
			"negative":               -1,
			"negative fraction":      json.Number("-0.5"),
			"after the year 9999":    253402300800,
			"fraction after it":      json.Number("253402300799.5"),
			"milliseconds":           json.Number("1e15"),
			"beyond int64":           json.Number("9223372036854775808"),
			"that wraps in 64 bits":  json.Number("18446744075476874661"),
			"beyond float64":         json.Number("1e999"),
			"small and beyond float": json.Number("-1e999"),
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				expectVerdict(t, w, w.mintBitbucket(t, claim(name, value)...), w.bitbucket(), now(), token.Malformed, false)
			})
		}
		want := token.MissingClaim
		if name == "nbf" {
			want = accept
		}
		t.Run(name+"/absent", func(t *testing.T) {
			expectVerdict(t, w, w.mintBitbucket(t, without(name)...), w.bitbucket(), now(), want, false)
		})
		t.Run(name+"/of 1970", func(t *testing.T) {
			want := map[string]token.Code{"exp": token.Expired, "iat": token.TooOld, "nbf": accept}[name]
			for _, zero := range []json.Number{"0", "0.0", "0e0"} {
				expectVerdict(t, w, w.mintBitbucket(t, claim(name, zero)...), w.bitbucket(), now(), want, name != "exp")
			}
		})
		t.Run(name+"/in the last second of 9999", func(t *testing.T) {
			want := map[string]token.Code{"exp": accept, "iat": token.NotYetValid, "nbf": token.NotYetValid}[name]
			for _, last := range []json.Number{"253402300799", "253402300799.0"} {
				expectVerdict(t, w, w.mintBitbucket(t, claim(name, last)...), w.bitbucket(), now(), want, name == "exp")
			}
		})
		t.Run(name+"/with an exponent", func(t *testing.T) {
			expectVerdict(t, w, w.mintBitbucket(t, claim(name, json.Number("1.767323045e9"))...), w.bitbucket(), now(), accept, false)
		})
	}
}

func TestMaxAge(t *testing.T) {
	w := ecWorld()
	raw := w.mintBitbucket(t)
	for name, tc := range map[string]struct {
		maxAge, age time.Duration
		want        token.Code
	}{
		"unset, young": {0, 30 * time.Second, accept},
		"unset, older": {0, 31 * time.Second, token.TooOld},
		"5 min":        {5 * time.Minute, 5 * time.Minute, accept},
		"5 min over":   {5 * time.Minute, 5*time.Minute + 31*time.Second, token.TooOld},
		"negative":     {-time.Hour, 0, token.TooOld},
	} {
		t.Run(name, func(t *testing.T) {
			e := w.bitbucket()
			e.MaxAge = tc.maxAge
			expectVerdict(t, w, raw, e, now().Add(tc.age), tc.want, false)
		})
	}
}

// The first thing wrong is the one that is told.
func TestOrderOfChecks(t *testing.T) {
	w := ecWorld()
	wrong := []struct {
		claim       string
		value       any
		early, want token.Code
	}{
		{"iss", "https://evil.example", token.Expired, token.WrongIssuer},
		{"aud", "https://other.example", token.Expired, token.WrongAudience},
		{"exp", 0, token.Expired, token.Expired},
		{"nbf", 253402300799, token.NotYetValid, token.NotYetValid},
		{"iat", 0, accept, token.TooOld},
	}
	for i, first := range wrong {
		var options []issuertest.Option
		for _, later := range wrong[i:] {
			options = append(options, issuertest.WithClaim(later.claim, later.value))
		}
		t.Run(first.claim, func(t *testing.T) {
			expectVerdicts(t, w, w.mintBitbucket(t, options...), w.bitbucket(), now(), first.early, first.want)
		})
	}
}

// Before the signature is verified the claims are a stranger's, and nothing of
// them may be repeated; after it, the caller's own help the caller.
func TestDetailsTellOwnClaimsOnlyOnceVerified(t *testing.T) {
	w := ecWorld()
	for name, tc := range map[string]struct {
		options []issuertest.Option
		now     time.Time
		own     string
		early   bool // the precheck refuses it
	}{
		"audience": {claim("aud", "https://own.example"), now(), "https://own.example", false},
		"expired":  {nil, now().Add(2 * time.Hour), "2026-01-02T04:04:05Z", true},
		"too old":  {claim("exp", 253402300799), now().Add(2 * time.Hour), "2026-01-02T03:04:05Z", false},
		"future":   {nil, now().Add(-time.Hour), "2026-01-02T03:04:05Z", true},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := token.Parse(w.mintBitbucket(t, tc.options...))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Precheck(tc.now); err == nil == tc.early || err != nil && strings.Contains(err.Error(), tc.own) {
				t.Errorf("precheck: %v", err)
			}
			v, err := p.VerifySignature(w.keys, "bitbucket")
			if err != nil {
				t.Fatal(err)
			}
			err = v.Check(w.bitbucket(), tc.now)
			if err == nil || !strings.Contains(err.Error(), tc.own) || strings.Contains(err.Error(), audience) {
				t.Errorf("check: %v", err)
			}
		})
	}
}

// What a token says of itself must not write other lines into a build log.
func TestDetailsAreTame(t *testing.T) {
	w := ecWorld()
	list := []string{"a\n::error::x\x1b[31m\u202e", strings.Repeat("ж", 5000), "c", "d", "e"}
	p, err := token.Parse(w.mintBitbucket(t, claim("aud", list)...))
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.VerifySignature(w.keys, "bitbucket")
	if err != nil {
		t.Fatal(err)
	}
	err = v.Check(w.bitbucket(), now())
	if codeOf(t, err) != token.WrongAudience {
		t.Fatal(err)
	}
	if d := err.Error(); len(d) > 2000 || strings.ContainsFunc(d, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("detail of %d bytes: %q", len(d), d)
	}
}
