package jwks

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
)

func TestCleanKeeps(t *testing.T) {
	rsaOut := fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB","kid":"r","alg":"RS256","use":"sig"}`, b64(rsaKey().N.Bytes()))
	ecOut := fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":%q,"y":%q,"kid":"e","alg":"ES256","use":"sig"}`, b64(ecKey()[1:33]), b64(ecKey()[33:]))
	padded := append([]byte{0}, rsaKey().N.Bytes()...)
	for name, tc := range map[string]struct{ in, want string }{
		"RSA as Bitbucket publishes it": {keySet(rsaJWK(`,"kid":"r","use":"sig","alg":"RS256"`)), keySet(rsaOut)},
		"key without alg and use":       {keySet(rsaJWK(`,"kid":"r"`)), keySet(rsaOut)},
		"P-256 without alg":             {keySet(ecJWK(`,"kid":"e","use":"sig"`)), keySet(ecOut)},
		"key_ops with verify":           {keySet(ecJWK(`,"kid":"e","key_ops":["encrypt","verify"]`)), keySet(ecOut)},
		"other members are left out":    {keySet(rsaJWK(`,"kid":"r","x5c":["MII"],"x5u":"https://evil.example.com","ext":true`)), keySet(rsaOut)},
		"other members of the set":      {`{"next":"https://evil.example.com","keys":[` + rsaJWK(`,"kid":"r"`) + `]}`, keySet(rsaOut)},
		"sorted by kid":                 {keySet(rsaJWK(`,"kid":"r"`), ecJWK(`,"kid":"e"`)), keySet(ecOut, rsaOut)},
		"sorted by kid, not by key": {keySet(ecJWK(`,"kid":"f"`), ecJWK(`,"kid":"e"`)),
			keySet(ecOut, strings.Replace(ecOut, `"kid":"e"`, `"kid":"f"`, 1))},
		"one kid for two algorithms": {keySet(rsaJWK(`,"kid":"e"`), ecJWK(`,"kid":"e"`)),
			keySet(ecOut, strings.Replace(rsaOut, `"kid":"r"`, `"kid":"e"`, 1))},
		"n with a leading zero": {keySet(fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AAEAAQ","kid":"r"}`, b64(padded))), keySet(rsaOut)},
		"white space":           {" \n" + keySet(" "+rsaJWK(`, "kid" : "r"`)) + "\n", keySet(rsaOut)},
		"escapes":               {keySet(rsaJWK(`,"kid":"\u0072","\u0075se":"sig"`)), keySet(rsaOut)},
		"smallest RSA": {keySet(fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"Aw","kid":"r"}`, modulus(2048))),
			keySet(fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"Aw","kid":"r","alg":"RS256","use":"sig"}`, modulus(2048)))},
		"largest RSA": {keySet(fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"f____w","kid":"r"}`, modulus(8192))),
			keySet(fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"f____w","kid":"r","alg":"RS256","use":"sig"}`, modulus(8192)))},
	} {
		t.Run(name, func(t *testing.T) {
			got, dropped, err := Clean([]byte(tc.in))
			if err != nil || len(dropped) > 0 || string(got) != tc.want {
				t.Errorf("got  %s, %v, %v\nwant %s", got, dropped, err, tc.want)
			}
		})
	}
}

func TestCleanDrops(t *testing.T) {
	rsaOf := func(n, e string) string { return fmt.Sprintf(`{"kty":"RSA","kid":"k","n":%q,"e":%q}`, n, e) }
	good := rsaKey().N.Bytes()
	even := bytes.Clone(good)
	even[len(even)-1] &^= 1
	x, y := b64(ecKey()[1:33]), b64(ecKey()[33:])
	ec := func(crv, x, y string) string {
		return fmt.Sprintf(`{"kty":"EC","kid":"k","crv":%q,"x":%q,"y":%q}`, crv, x, y)
	}
	for name, tc := range map[string]struct{ key, want string }{
		"no kid":                    {rsaJWK(``), "no kid"},
		"empty kid":                 {rsaJWK(`,"kid":""`), "no kid"},
		"kid of another type":       {rsaJWK(`,"kid":1`), "kid is not a string"},
		"kid too long":              {rsaJWK(`,"kid":"` + strings.Repeat("k", 257) + `"`), "longer than 256"},
		"kid with a line break":     {rsaJWK(`,"kid":"a\nb"`), "cannot be printed"},
		"kid with an escape":        {rsaJWK(`,"kid":"\u001b[2J"`), "cannot be printed"},
		"for encryption":            {rsaJWK(`,"kid":"k","use":"enc"`), `use is "enc"`},
		"use of another type":       {rsaJWK(`,"kid":"k","use":["sig"]`), "use is not a string"},
		"use null":                  {rsaJWK(`,"kid":"k","use":null`), "use is not a string"},
		"key_ops without verify":    {rsaJWK(`,"kid":"k","key_ops":["sign"]`), "key_ops"},
		"key_ops empty":             {rsaJWK(`,"kid":"k","key_ops":[]`), "key_ops"},
		"key_ops of another type":   {rsaJWK(`,"kid":"k","key_ops":"verify"`), "key_ops"},
		"other RSA algorithm":       {rsaJWK(`,"kid":"k","alg":"PS256"`), `alg is "PS256"; only RS256`},
		"encryption algorithm":      {rsaJWK(`,"kid":"k","alg":"RSA-OAEP"`), `alg is "RSA-OAEP"`},
		"algorithm none":            {rsaJWK(`,"kid":"k","alg":"none"`), `alg is "none"`},
		"HMAC with an RSA key":      {rsaJWK(`,"kid":"k","alg":"HS256"`), `alg is "HS256"`},
		"EC algorithm, RSA key":     {rsaJWK(`,"kid":"k","alg":"ES256"`), `alg is "ES256"; only RS256`},
		"RSA algorithm, EC key":     {ecJWK(`,"kid":"k","alg":"RS256"`), `alg is "RS256"; only ES256`},
		"RSA of 1024 bits":          {rsaOf(modulus(1024), "AQAB"), "1024 bits"},
		"RSA of 2047 bits":          {rsaOf(modulus(2047), "AQAB"), "2047 bits"},
		"RSA of 8193 bits":          {rsaOf(modulus(8193), "AQAB"), "8193 bits"},
		"RSA of 2047 bits, padded":  {rsaOf("AAAA"+modulus(2047), "AQAB"), "bits"},
		"even modulus":              {rsaOf(b64(even), "AQAB"), "n is even"},
		"exponent 1":                {rsaOf(b64(good), "AQ"), "e must be odd"},
		"exponent 0":                {rsaOf(b64(good), "AA"), "e must be odd"},
		"even exponent":             {rsaOf(b64(good), "AQAA"), "e must be odd"},
		"exponent of 32 bits":       {rsaOf(b64(good), "gAAAAQ"), "e must be odd"},
		"n absent":                  {`{"kty":"RSA","kid":"k","e":"AQAB"}`, "n is not base64url"},
		"e absent":                  {`{"kty":"RSA","kid":"k","n":"` + b64(good) + `"}`, "e is not base64url"},
		"n a number":                {`{"kty":"RSA","kid":"k","n":12345,"e":"AQAB"}`, "n is not a string"},
		"n in another base64":       {rsaOf("+/+/"+b64(good), "AQAB"), "n is not base64url"},
		"e with padding":            {rsaOf(b64(good), "Aw=="), "e is not base64url"},
		"n with line breaks":        {rsaOf(b64(good)[:64]+"\n"+b64(good)[64:], "AQAB"), "n is not base64url"},
		"e with loose bits":         {rsaOf(b64(good), "AX"), "e is not base64url"},
		"P-384":                     {ec("P-384", x, y), `crv is "P-384"`},
		"secp256k1":                 {ec("secp256k1", x, y), `crv is "secp256k1"`},
		"point not on the curve":    {ec("P-256", y, x), "no point"},
		"point at infinity":         {ec("P-256", b64(make([]byte, 32)), b64(make([]byte, 32))), "no point"},
		"short coordinate":          {ec("P-256", b64(ecKey()[2:33]), y), "32 bytes"},
		"long coordinate":           {ec("P-256", b64(append([]byte{0}, ecKey()[1:33]...)), y), "32 bytes"},
		"Ed25519":                   {`{"kty":"OKP","kid":"k","crv":"Ed25519","x":"` + x + `"}`, `kty is "OKP"`},
		"no kty":                    {`{"kid":"k"}`, `kty is ""`},
		"kty in another case":       {`{"kty":"rsa","kid":"k","n":"` + b64(good) + `","e":"AQAB"}`, `kty is "rsa"`},
		"members in another case":   {`{"KTY":"RSA","kid":"k","N":"` + b64(good) + `","E":"AQAB"}`, `kty is ""`},
		"a key that is a string":    {`"key"`, "not an object"},
		"a key that is null":        {`null`, "not an object"},
		"hostile text in the error": {rsaJWK(`,"kid":"k","alg":"\u001b]0;\u202e\n"`), "alg is"},
	} {
		t.Run(name, func(t *testing.T) {
			// Alone it leaves nothing; beside a good one it alone is left out.
			if got, _, err := Clean([]byte(keySet(tc.key))); err == nil {
				t.Errorf("alone: got %s", got)
			}
			got, dropped, err := Clean([]byte(keySet(tc.key, ecJWK(`,"kid":"good"`))))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(got), `"kty"`); n != 1 || !strings.Contains(string(got), `"kid":"good"`) {
				t.Errorf("kept %s", got)
			}
			if len(dropped) != 1 || dropped[0].Index != 0 || !strings.Contains(dropped[0].Reason, tc.want) {
				t.Fatalf("dropped %v, want one for %q", dropped, tc.want)
			}
			if s := dropped[0].String(); s != oneLine(s, 1000) {
				t.Errorf("%q is not fit for a terminal", s)
			}
		})
	}
}

func TestCleanRefuses(t *testing.T) {
	good := rsaJWK(`,"kid":"r"`)
	for name, tc := range map[string]struct{ in, want string }{
		"nothing":                    {"", "cannot be read as JSON"},
		"HTML":                       {"<!DOCTYPE html>", "cannot be read as JSON"},
		"null":                       {"null", `no member "keys"`},
		"an array":                   {"[" + good + "]", "cannot be read as JSON"},
		"a key and no set":           {good, `no member "keys"`},
		"keys null":                  {`{"keys":null}`, `no member "keys"`},
		"keys an object":             {`{"keys":{"a":` + good + `}}`, "cannot be read as JSON"},
		"keys in another case":       {`{"Keys":[` + good + `]}`, `no member "keys"`},
		"empty":                      {`{"keys":[]}`, "empty"},
		"keys twice":                 {`{"keys":[],"keys":[` + good + `]}`, "cannot be read as JSON"},
		"a member of a key twice":    {keySet(rsaJWK(`,"kid":"r","kid":"s"`)), "cannot be read as JSON"},
		"a member twice by escape":   {keySet(rsaJWK(`,"kid":"r","\u006bid":"s"`)), "cannot be read as JSON"},
		"trailing data":              {keySet(good) + keySet(good), "cannot be read as JSON"},
		"cut off":                    {keySet(good)[:300], "cannot be read as JSON"},
		"not UTF-8":                  {keySet(rsaJWK(",\"kid\":\"\xff\"")), "cannot be read as JSON"},
		"deep":                       {`{"keys":` + strings.Repeat("[", 1<<19), "cannot be read as JSON"},
		"too large":                  {keySet(good) + strings.Repeat(" ", 1<<20), "larger than"},
		"too many keys":              {keySet(strings.Split(strings.Repeat("0,", 100)+"0", ",")...), "101 keys"},
		"same kid and alg":           {keySet(good, rsaJWK(`,"kid":"r","alg":"RS256"`)), `two RS256 keys with kid "r"`},
		"same kid, different keys":   {keySet(good, fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB","kid":"r"}`, modulus(2048))), `two RS256 keys`},
		"RSA private key":            {keySet(ecJWK(`,"kid":"e"`), rsaJWK(`,"kid":"r","d":"AQAB"`)), "compromised"},
		"EC private key":             {keySet(ecJWK(`,"kid":"e","d":"AQAB"`)), "compromised"},
		"prime factor":               {keySet(rsaJWK(`,"kid":"r","p":"AQAB"`)), "compromised"},
		"CRT exponent":               {keySet(rsaJWK(`,"kid":"r","qi":null`)), "compromised"},
		"more primes":                {keySet(rsaJWK(`,"kid":"r","oth":[]`)), "compromised"},
		"symmetric key":              {keySet(good, `{"kty":"oct","k":"c2VjcmV0","kid":"o"}`), "compromised"},
		"private key that is unused": {keySet(good, `{"kty":"EC","crv":"P-521","d":"AQAB"}`), "compromised"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := Clean([]byte(tc.in))
			if err == nil || got != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %s, %v, want an error that says %q", got, err, tc.want)
			}
			if err != nil && (strings.Contains(err.Error(), "c2VjcmV0") || len(oneLine(err.Error(), 1000)) > maxFailure) {
				t.Errorf("error tells too much: %v", err)
			}
		})
	}
}

// What verifies ID tokens must read a cleaned set as it was meant.
func TestCleanedSetIsReadByTheVerifier(t *testing.T) {
	cleaned, _, err := Clean([]byte(keySet(rsaJWK(`,"kid":"r"`), ecJWK(`,"kid":"e"`))))
	if err != nil {
		t.Fatal(err)
	}
	checkWithLibrary(t, cleaned, 2)
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(cleaned, &set); err != nil {
		t.Fatal(err)
	}
	keys, err := set.JWKSlice()
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := keys[1].Key().(*rsa.PublicKey); !ok || !k.Equal(rsaKey()) {
		t.Errorf("RSA key came out as %v", keys[1].Key())
	}
	if k, ok := keys[0].Key().(*ecdsa.PublicKey); !ok {
		t.Errorf("EC key came out as %v", keys[0].Key())
	} else if p, err := k.Bytes(); err != nil || !bytes.Equal(p, ecKey()) {
		t.Errorf("EC key came out as %x, %v", p, err)
	}
}

func checkWithLibrary(t *testing.T, cleaned []byte, want int) {
	t.Helper()
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(cleaned, &set); err != nil {
		t.Fatalf("%s: %v", cleaned, err)
	}
	keys, err := set.JWKSlice()
	if err != nil || want >= 0 && len(keys) != want {
		t.Fatalf("%s: %d keys, %v", cleaned, len(keys), err)
	}
	for _, k := range keys {
		m := k.Marshal()
		if m.KID == "" || m.USE != "sig" || m.D != "" || m.K != "" || len(m.X5C) > 0 || m.X5U != "" {
			t.Errorf("%s holds a key it must not: %+v", cleaned, m)
		}
		switch key := k.Key().(type) {
		case *rsa.PublicKey:
			if bits := key.N.BitLen(); m.ALG != "RS256" || bits < 2048 || bits > 8192 || key.E < 3 || key.E%2 == 0 {
				t.Errorf("%s holds an RSA key of %d bits, e %d, alg %s", cleaned, bits, key.E, m.ALG)
			}
		case *ecdsa.PublicKey:
			if m.ALG != "ES256" || m.CRV != "P-256" {
				t.Errorf("%s holds a key of %s, alg %s", cleaned, m.CRV, m.ALG)
			}
		default:
			t.Errorf("%s holds a %T", cleaned, key)
		}
	}
}

const fuzzCleanSeeds = "testdata/fuzz/FuzzClean"

func TestFuzzCleanHasSeeds(t *testing.T) {
	seeds, err := os.ReadDir(fuzzCleanSeeds)
	if err != nil || len(seeds) == 0 {
		t.Fatalf("%s: %d seeds, %v", fuzzCleanSeeds, len(seeds), err)
	}
}

// FuzzClean: whatever an issuer publishes, what is kept is a set of sound public
// keys, in the one form.
func FuzzClean(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		cleaned, dropped, err := Clean(in)
		for _, d := range dropped {
			if s := d.String(); s != oneLine(s, 1000) {
				t.Errorf("%q is not fit for a terminal", s)
			}
		}
		if err != nil {
			if cleaned != nil {
				t.Errorf("keys beside the error %v", err)
			}
			return
		}
		checkWithLibrary(t, cleaned, -1)
		again, dropped, err := Clean(cleaned)
		if err != nil || len(dropped) > 0 || !bytes.Equal(again, cleaned) {
			t.Errorf("cleaned again:\n%s, %v, %v\nat first:\n%s", again, dropped, err, cleaned)
		}
	})
}
