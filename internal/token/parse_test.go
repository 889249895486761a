package token_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// raw makes a token of a header and a payload as they stand. Its signature is
// of no use, since Parse does not look at it.
func rawToken(header, payload string) string {
	return b64(header) + "." + b64(payload) + "." + b64("signature")
}

const goodHeader = `{"alg":"RS256","kid":"k","typ":"JWT"}`

func TestParseForm(t *testing.T) {
	good := rawToken(goodHeader, `{}`)
	segments := strings.Split(good, ".")
	for name, tc := range map[string]struct {
		raw  string
		want token.Code
	}{
		"three segments":              {good, accept},
		"empty":                       {"", token.Malformed},
		"one segment":                 {"abc", token.Malformed},
		"two segments":                {segments[0] + "." + segments[1], token.Malformed},
		"four segments":               {good + "." + segments[2], token.Malformed},
		"five segments, as a JWE":     {good + "..", token.Malformed},
		"only dots":                   {"..", token.Malformed},
		"empty header":                {"." + segments[1] + "." + segments[2], token.Malformed},
		"empty payload":               {segments[0] + ".." + segments[2], token.Malformed},
		"empty signature":             {segments[0] + "." + segments[1] + ".", token.Malformed},
		"trailing line feed":          {good + "\n", token.Malformed},
		"trailing carriage return":    {good + "\r", token.Malformed},
		"leading space":               {" " + good, token.Malformed},
		"line feed inside the header": {good[:5] + "\n" + good[5:], token.Malformed},
		"line feed in the signature":  {good[:len(good)-3] + "\n" + good[len(good)-3:], token.Malformed},
		"tab before a dot":            {segments[0] + "\t." + segments[1] + "." + segments[2], token.Malformed},
		"padded header":               {base64.URLEncoding.EncodeToString([]byte(goodHeader)) + "==." + segments[1] + "." + segments[2], token.Malformed},
		"padded payload":              {segments[0] + "." + segments[1] + "=." + segments[2], token.Malformed},
		"padded signature":            {good + "=", token.Malformed},
		"standard base64 alphabet":    {segments[0] + "." + segments[1] + ".+/+/", token.Malformed},
		"trailing bits not zero":      {segments[0] + "." + segments[1] + ".AB", token.Malformed},
		"the same with zero bits":     {segments[0] + "." + segments[1] + ".AA", accept},
		"quotes around it":            {`"` + good + `"`, token.Malformed},
		"bearer prefix":               {"Bearer " + good, token.Malformed},
		"JSON serialization":          {`{"protected":"` + segments[0] + `","payload":"` + segments[1] + `","signature":"` + segments[2] + `"}`, token.Malformed},
		"NUL at the end":              {good + "\x00", token.Malformed},
		"non-ASCII digits":            {segments[0] + "." + segments[1] + ".\uff21\uff21", token.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := token.Parse(tc.raw)
			expectCode(t, err, tc.want, token.Expect{}, tc.raw)
		})
	}
}

func TestParseSize(t *testing.T) {
	for _, tc := range []struct {
		bytes int
		want  token.Code
	}{{16<<10 - 1, accept}, {16 << 10, accept}, {16<<10 + 1, token.Malformed}} {
		t.Run(fmt.Sprint(tc.bytes), func(t *testing.T) {
			raw := tokenOfSize(t, tc.bytes)
			_, err := token.Parse(raw)
			expectCode(t, err, tc.want, token.Expect{}, raw)
		})
	}
}

// tokenOfSize fills the payload with white space. No base64 has 4n+1 characters,
// so the signature may have to take two more.
func tokenOfSize(t *testing.T, size int) string {
	t.Helper()
	head, signature := b64(goodHeader)+".", ".AAAA"
	if (size-len(head)-len(signature))%4 == 1 {
		signature += "AA"
	}
	n := base64.RawURLEncoding.DecodedLen(size - len(head) - len(signature))
	raw := head + b64("{"+strings.Repeat(" ", n-2)+"}") + signature
	if len(raw) != size {
		t.Fatalf("made a token of %d bytes, want %d", len(raw), size)
	}
	return raw
}

func TestParseHeader(t *testing.T) {
	for name, tc := range map[string]struct {
		header string
		want   token.Code
	}{
		"RS256":                         {goodHeader, accept},
		"ES256":                         {`{"alg":"ES256","kid":"k"}`, accept},
		"typ in lower case":             {`{"alg":"RS256","kid":"k","typ":"jwt"}`, accept},
		"typ in full":                   {`{"alg":"RS256","kid":"k","typ":"application/jwt"}`, accept},
		"unknown field":                 {`{"alg":"RS256","kid":"k","x":[{"y":1}]}`, accept},
		"white space in the JSON":       {" { \"alg\" : \"RS256\" ,\n\t\"kid\" : \"k\" } ", accept},
		"kid of other characters":       {`{"alg":"RS256","kid":"ключ/../\u0000"}`, accept},
		"jku, x5u, x5c and jwk ignored": {`{"alg":"RS256","kid":"k","jku":"https://evil.example","x5u":"https://evil.example","x5c":["AA"],"jwk":{"kty":"RSA"}}`, accept},

		"no kid":                  {`{"alg":"RS256"}`, token.Malformed},
		"empty kid":               {`{"alg":"RS256","kid":""}`, token.Malformed},
		"kid is a number":         {`{"alg":"RS256","kid":1}`, token.Malformed},
		"kid is null":             {`{"alg":"RS256","kid":null}`, token.Malformed},
		"kid is an array":         {`{"alg":"RS256","kid":["k"]}`, token.Malformed},
		"KID":                     {`{"alg":"RS256","KID":"k"}`, token.Malformed},
		"crit":                    {`{"alg":"RS256","kid":"k","crit":["exp"],"exp":1}`, token.Malformed},
		"empty crit":              {`{"alg":"RS256","kid":"k","crit":[]}`, token.Malformed},
		"crit is null":            {`{"alg":"RS256","kid":"k","crit":null}`, token.Malformed},
		"b64 of RFC 7797":         {`{"alg":"RS256","kid":"k","b64":false,"crit":["b64"]}`, token.Malformed},
		"logout token":            {`{"alg":"RS256","kid":"k","typ":"logout+jwt"}`, token.Malformed},
		"typ is a number":         {`{"alg":"RS256","kid":"k","typ":1}`, token.Malformed},
		"no alg":                  {`{"kid":"k"}`, token.Malformed},
		"alg is null":             {`{"alg":null,"kid":"k"}`, token.Malformed},
		"alg is an array":         {`{"alg":["RS256"],"kid":"k"}`, token.Malformed},
		"alg twice":               {`{"alg":"none","alg":"RS256","kid":"k"}`, token.Malformed},
		"kid twice":               {`{"alg":"RS256","kid":"k","kid":"l"}`, token.Malformed},
		"kid twice, once escaped": {`{"alg":"RS256","kid":"k","\u006bid":"l"}`, token.Malformed},
		"trailing object":         {goodHeader + `{}`, token.Malformed},
		"trailing comma":          {`{"alg":"RS256","kid":"k",}`, token.Malformed},
		"comment":                 {`{"alg":"RS256","kid":"k"/**/}`, token.Malformed},
		"byte order mark":         {"\ufeff" + goodHeader, token.Malformed},
		"array":                   {`[` + goodHeader + `]`, token.Malformed},
		"string":                  {`"RS256"`, token.Malformed},
		"null":                    {`null`, token.Malformed},
		"not closed":              {`{"alg":"RS256","kid":"k"`, token.Malformed},
		"invalid UTF-8":           {"{\"alg\":\"RS256\",\"kid\":\"\xff\"}", token.Malformed},
		"lone surrogate":          {`{"alg":"RS256","kid":"\ud800"}`, token.Malformed},
		"overlong UTF-8":          {"{\"alg\":\"RS256\",\"kid\":\"\xc0\xaf\"}", token.Malformed},
		"nested too deep":         {`{"alg":"RS256","kid":"k","x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, token.Malformed},
		"nested just less":        {`{"alg":"RS256","kid":"k","x":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`, accept},

		"none":                 {`{"alg":"none","kid":"k"}`, token.UnsupportedAlgorithm},
		"None":                 {`{"alg":"None","kid":"k"}`, token.UnsupportedAlgorithm},
		"empty alg":            {`{"alg":"","kid":"k"}`, token.UnsupportedAlgorithm},
		"rs256 in lower case":  {`{"alg":"rs256","kid":"k"}`, token.UnsupportedAlgorithm},
		"RS256 with a space":   {`{"alg":"RS256 ","kid":"k"}`, token.UnsupportedAlgorithm},
		"RS256 with a NUL":     {`{"alg":"RS256\u0000","kid":"k"}`, token.UnsupportedAlgorithm},
		"HS256":                {`{"alg":"HS256","kid":"k"}`, token.UnsupportedAlgorithm},
		"HS512":                {`{"alg":"HS512","kid":"k"}`, token.UnsupportedAlgorithm},
		"RS384":                {`{"alg":"RS384","kid":"k"}`, token.UnsupportedAlgorithm},
		"RS512":                {`{"alg":"RS512","kid":"k"}`, token.UnsupportedAlgorithm},
		"PS256":                {`{"alg":"PS256","kid":"k"}`, token.UnsupportedAlgorithm},
		"ES384":                {`{"alg":"ES384","kid":"k"}`, token.UnsupportedAlgorithm},
		"EdDSA":                {`{"alg":"EdDSA","kid":"k"}`, token.UnsupportedAlgorithm},
		"a key management one": {`{"alg":"RSA-OAEP","enc":"A128GCM","kid":"k"}`, token.UnsupportedAlgorithm},
	} {
		t.Run(name, func(t *testing.T) {
			raw := rawToken(tc.header, `{}`)
			_, err := token.Parse(raw)
			expectCode(t, err, tc.want, token.Expect{}, raw)
		})
	}
}

func TestParsePayload(t *testing.T) {
	for name, tc := range map[string]struct {
		payload string
		want    token.Code
	}{
		"object":                      {`{"a":[1,{"b":null}],"c":true}`, accept},
		"number beyond float64":       {`{"exp":1e999}`, accept}, // refused once it is used as a time
		"claim twice":                 {`{"iss":"a","iss":"b"}`, token.Malformed},
		"claim twice, once escaped":   {`{"iss":"a","\u0069ss":"b"}`, token.Malformed},
		"member of a member twice":    {`{"a":{"b":1,"b":2}}`, token.Malformed},
		"member of an element twice":  {`{"a":[{"b":1,"b":2}]}`, token.Malformed},
		"nested too deep":             {strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17), token.Malformed},
		"nested as deep as it fits":   {`{"a":` + strings.Repeat("[", 5900) + strings.Repeat("]", 5900) + "}", token.Malformed},
		"nested as deep, not closed":  {`{"a":` + strings.Repeat("[", 11000), token.Malformed},
		"array":                       {`[]`, token.Malformed},
		"text":                        {`text`, token.Malformed},
		"nothing but white space":     {" ", token.Malformed},
		"invalid UTF-8 in a value":    {"{\"a\":\"\xff\"}", token.Malformed},
		"invalid UTF-8 in a name":     {"{\"\xff\":1}", token.Malformed},
		"lone surrogate":              {`{"a":"\udc00"}`, token.Malformed},
		"leading zero":                {`{"exp":01}`, token.Malformed},
		"NaN":                         {`{"exp":NaN}`, token.Malformed},
		"single quotes":               {`{'a':1}`, token.Malformed},
		"object closed as an array":   {`{"a":1]`, token.Malformed},
		"array closed as an object":   {`{"a":[1}}`, token.Malformed},
		"colon missing":               {`{"a" 1}`, token.Malformed},
		"comma missing":               {`{"a":1 "b":2}`, token.Malformed},
		"control character in a text": {"{\"a\":\"\x01\"}", token.Malformed},
		"data after it":               {`{} {}`, token.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			raw := rawToken(goodHeader, tc.payload)
			_, err := token.Parse(raw)
			expectCode(t, err, tc.want, token.Expect{}, raw)
		})
	}
}

func TestParsedTellsKeyAndHashOnly(t *testing.T) {
	raw := rawToken(`{"alg":"ES256","kid":"the key"}`, `{"sub":"secret"}`)
	p, err := token.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if p.KeyID() != "the key" || p.Algorithm() != "ES256" {
		t.Errorf("KeyID %q, Algorithm %q", p.KeyID(), p.Algorithm())
	}
	if want := sha256.Sum256([]byte(raw[:strings.LastIndexByte(raw, '.')])); p.Hash() != want {
		t.Errorf("Hash is %x, want that of header.payload, %x", p.Hash(), want)
	}
	hash := p.Hash()
	if want := fmt.Sprintf("ID token %x", hash); fmt.Sprint(p) != want || fmt.Sprintf("%#v", p) != want {
		t.Errorf("it prints as %v and %#v, want %s", p, p, want)
	}
	printed := fmt.Sprintf("%v %+v %#v %s %q", p, p, p, p, p)
	for _, secret := range []string{"secret", "the key", b64(`{"sub":"secret"}`)} {
		if strings.Contains(printed, secret) {
			t.Errorf("printing a token tells %s: %s", secret, printed)
		}
	}
}

func TestClaimsAreDecodedWithoutLoss(t *testing.T) {
	w := ecWorld()
	raw := w.mintBitbucket(t,
		issuertest.WithClaim("int", json.Number("9007199254740993")),
		issuertest.WithClaim("most", json.Number("9223372036854775807")),
		issuertest.WithClaim("big", json.Number("18446744073709551616")),
		issuertest.WithClaim("fraction", json.Number("0.10")),
		issuertest.WithClaim("nested", map[string]any{"list": []any{true, nil, "x"}}))
	v, err := verify(raw, w.keys, w.bitbucket(), now())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"int": "9007199254740993", "big": "18446744073709551616", "fraction": "0.10", "nested": `{"list":[true,null,"x"]}`,
	} {
		if got, err := json.Marshal(v.Claims[name]); err != nil || string(got) != want {
			t.Errorf("claim %s is recorded as %s (%v), want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"int", "most"} {
		if n, ok := v.Claims[name].(int64); !ok {
			t.Errorf("claim %s is %T %v, want int64", name, v.Claims[name], n)
		}
	}
}
