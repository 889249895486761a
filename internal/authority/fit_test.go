package authority_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// several are certificates of consecutive serials.
func several(p cert.Purpose, from, n int, ends time.Duration) (all []store.RevokedCertificate) {
	for i := range n {
		serial := fmt.Sprint(from + i)
		if p != cert.SSHUser {
			serial = fmt.Sprintf("%x", from+i)
		}
		all = append(all, store.RevokedCertificate{Authority: p, Serial: serial, ExpiresAt: at.Add(ends)})
	}
	return all
}

func ofJoin(id string, certificates ...[]store.RevokedCertificate) store.Revocation {
	return store.Revocation{ID: id, JoinID: id, Certificates: slices.Concat(certificates...)}
}

// What does not fit into a list does not keep the rest from being revoked.
func TestFit(t *testing.T) {
	const hour = time.Hour
	full := ofJoin("full", several(cert.X509Database, 1, authority.MaxRevokedX509-10, hour))
	fullSSH := ofJoin("full-ssh", several(cert.SSHUser, 1, authority.MaxRevokedSSH-10, hour))
	const next = authority.MaxRevokedSSH + 1
	both := func(id string, n int, ends time.Duration) store.Revocation {
		return ofJoin(id, several(cert.SSHUser, next, n, ends), several(cert.X509Identity, next, n, ends))
	}
	for name, c := range map[string]struct {
		stored, wanted []store.Revocation
		fits           []string
		left           []authority.LeftOut
	}{
		"all of it, to the last place": {stored: []store.Revocation{full, fullSSH}, wanted: []store.Revocation{both("a", 10, hour)}, fits: []string{"a 20"}},
		"what is stored":               {stored: []store.Revocation{full, both("a", 10, hour)}, wanted: []store.Revocation{both("a", 10, hour)}},
		"one more than a list holds": {stored: []store.Revocation{full}, wanted: []store.Revocation{both("a", 11, hour)}, fits: []string{"a.ssh 11"},
			left: []authority.LeftOut{{Authority: cert.X509Identity, Certificates: 11, Until: at.Add(hour)}}},
		"the other list is full": {stored: []store.Revocation{fullSSH}, wanted: []store.Revocation{both("a", 11, hour)}, fits: []string{"a.x509 11"},
			left: []authority.LeftOut{{Authority: cert.SSHUser, Certificates: 11, Until: at.Add(hour)}}},
		"both lists are full": {stored: []store.Revocation{full, fullSSH}, wanted: []store.Revocation{both("a", 11, hour)},
			left: []authority.LeftOut{{Authority: cert.SSHUser, Certificates: 11, Until: at.Add(hour)}, {Authority: cert.X509Identity, Certificates: 11, Until: at.Add(hour)}}},
		"a part that was stored before": {stored: []store.Revocation{full, ofJoin("a.ssh", several(cert.SSHUser, next, 11, hour))}, wanted: []store.Revocation{both("a", 11, hour)},
			left: []authority.LeftOut{{Authority: cert.X509Identity, Certificates: 11, Until: at.Add(hour)}}},
		"the rest of a part, when there is room": {stored: []store.Revocation{ofJoin("a.ssh", several(cert.SSHUser, next, 11, hour))}, wanted: []store.Revocation{both("a", 11, hour)}, fits: []string{"a 22"}},
		"what ends last comes first": {stored: []store.Revocation{full}, wanted: []store.Revocation{
			ofJoin("short", several(cert.X509Kubernetes, next, 8, hour)), ofJoin("long", several(cert.X509Identity, next, 8, 2*hour)), ofJoin("small", several(cert.X509Identity, next+9, 2, hour))},
			fits: []string{"long 8", "small 2"}, left: []authority.LeftOut{{Authority: cert.X509Kubernetes, Certificates: 8, Until: at.Add(hour)}}},
		"what has ended takes no room": {stored: []store.Revocation{ofJoin("old", several(cert.X509Database, 1, authority.MaxRevokedX509, -2*hour))}, wanted: []store.Revocation{both("a", 11, hour)}, fits: []string{"a 22"}},
		"a serial that is stored takes none": {stored: []store.Revocation{full, ofJoin("x509-identity.1", several(cert.X509Identity, next, 1, hour))},
			wanted: []store.Revocation{ofJoin("a", several(cert.X509Identity, next, 10, hour))}, fits: []string{"a 10"}},
	} {
		t.Run(name, func(t *testing.T) {
			fits, left, err := authority.Fit(c.stored, c.wanted, at)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range fits {
				got = append(got, fmt.Sprint(r.ID, " ", len(r.Certificates)))
			}
			if !slices.Equal(got, c.fits) || !slices.Equal(left, c.left) {
				t.Errorf("fits %q, left out %+v; want %q, %+v", got, left, c.fits, c.left)
			}
			// Every list can be made of it.
			for _, p := range cert.Purposes() {
				if _, err := authority.RevokedOf(slices.Concat(c.stored, fits), p, at); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestFitOfWhatCannotBeRead(t *testing.T) {
	bad := store.Revocation{ID: "bad", Certificates: []store.RevokedCertificate{{Authority: cert.SSHUser, Serial: "12x", ExpiresAt: at.Add(time.Hour)}}}
	if fits, _, err := authority.Fit([]store.Revocation{bad}, nil, at); err == nil {
		t.Errorf("stored: %v", fits)
	}
	if fits, _, err := authority.Fit(nil, []store.Revocation{bad}, at); err == nil {
		t.Errorf("wanted: %v", fits)
	}
}
