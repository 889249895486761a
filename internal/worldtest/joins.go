package worldtest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

// SSHRequest is the body of a request to join by a token rule, for an SSH certificate of a new key.
func SSHRequest(rule, idToken string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return json.Marshal(api.JoinRequest{Token: rule, IDToken: idToken, Credentials: []api.CredentialRequest{
		{Name: "ssh", Type: api.TypeSSH, PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))},
	}})
}

// Answer is what came of one sending of a request of SSHRequest.
type Answer struct {
	Status  int // 0 if no whole answer came
	JoinID  string
	Serial  string   // of the certificate; "" unless the join is granted
	Code    api.Code // of a refusal; "" if the answer has none
	Content string   // of an answer that is neither
}

// SendJoin sends a request of SSHRequest to a service. It returns an error only for a
// granted join whose certificate cannot be read.
func SendJoin(ctx context.Context, client *http.Client, url string, body []byte) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+api.PathJoin, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, nil
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		return Answer{}, nil // cut off in the middle
	}
	if resp.StatusCode != http.StatusOK {
		a := Answer{Status: resp.StatusCode, Content: text.String()}
		var problem api.Problem
		if json.Unmarshal(text.Bytes(), &problem) == nil {
			a.Code, a.JoinID = problem.Code, problem.JoinID
		}
		return a, nil
	}
	var granted api.JoinResponse
	if err := json.Unmarshal(text.Bytes(), &granted); err != nil || len(granted.Credentials) != 1 {
		return Answer{}, fmt.Errorf("the answer %.200q is not one credential: %w", text.String(), err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(granted.Credentials[0].Certificate))
	certificate, ok := key.(*ssh.Certificate)
	if err != nil || !ok {
		return Answer{}, fmt.Errorf("join %s has no certificate: %w", granted.JoinID, err)
	}
	return Answer{Status: resp.StatusCode, JoinID: granted.JoinID, Serial: fmt.Sprint(certificate.Serial)}, nil
}
