package token

// VerifyJWS is steps 1 and 3 without the claims, for test vectors whose payload
// is no JSON.
func VerifyJWS(raw string, k *KeySet) error {
	p, _, err := parseJWS(raw)
	if err != nil {
		return err
	}
	return p.verify(k)
}
