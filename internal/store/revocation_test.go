package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

func TestRevocationsComeBackEqual(t *testing.T) {
	at := time.Date(2026, 1, 31, 8, 0, 0, 123456789, time.FixedZone("", 3600))
	want := store.Revocation{ID: "01J", JoinID: "01J", Bot: "example", Token: "example-bot", At: at, By: "ada", Reason: "incident 42",
		Certificates: []store.RevokedCertificate{{Authority: cert.SSHUser, Serial: "1", ExpiresAt: at.Add(time.Hour)}, {Authority: cert.X509Database, Serial: "ff", ExpiresAt: at}}}
	body, err := store.EncodeRevocation(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.DecodeRevocation("01J", body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.At.Location() != time.UTC || !got.Ends().Equal(at.Add(time.Hour)) {
		t.Errorf("it was revoked at %s and ends at %s", got.At, got.Ends())
	}
	if want.At.Location() == time.UTC || want.Certificates[0].ExpiresAt.Location() == time.UTC {
		t.Error("EncodeRevocation changed what it was given")
	}
}

// A revocation that was passed over would let in whom it should keep out.
func TestRevocationsThatNoListCanHave(t *testing.T) {
	const end = `"expires_at": "2026-01-31T08:00:00Z"`
	for name, body := range map[string]string{
		"no JSON":               `{"id": 7`,
		"another id":            `{"id": "y", "certificates": [{"authority": "ssh-user", "serial": "1", ` + end + `}]}`,
		"no id":                 `{"certificates": [{"authority": "ssh-user", "serial": "1", ` + end + `}]}`,
		"no certificates":       `{"id": "x"}`,
		"an unknown authority":  `{"id": "x", "certificates": [{"authority": "ssh-usr", "serial": "1", ` + end + `}]}`,
		"an authority of hosts": `{"id": "x", "certificates": [{"authority": "ssh-host", "serial": "1", ` + end + `}]}`,
		"no authority":          `{"id": "x", "certificates": [{"serial": "1", ` + end + `}]}`,
		"no serial":             `{"id": "x", "certificates": [{"authority": "ssh-user", ` + end + `}]}`,
		"no end":                `{"id": "x", "certificates": [{"authority": "ssh-user", "serial": "1"}]}`,
		"one of two":            `{"id": "x", "certificates": [{"authority": "ssh-user", "serial": "1", ` + end + `}, {"authority": "jwt", "serial": "1", ` + end + `}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := store.DecodeRevocation("x", []byte(body)); err == nil {
				t.Errorf("got %+v", r)
			}
		})
	}
	good := strings.Replace(`{"id": "x", "certificates": [{"authority": "ssh-user", "serial": "1", END}]}`, "END", end, 1)
	if _, err := store.DecodeRevocation("x", []byte(good)); err != nil {
		t.Error(err)
	}
}
