package authority

import (
	"cmp"
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// list is a list of revoked certificates, by the name of a part that is in it alone.
type list string

const (
	listSSH  list = "ssh"
	listX509 list = "x509"
)

func listOf(p cert.Purpose) list {
	if p == cert.SSHUser {
		return listSSH
	}
	return listX509
}

func (l list) most() int {
	if l == listSSH {
		return MaxRevokedSSH
	}
	return MaxRevokedX509
}

// LeftOut is what the lists have no room for, of one authority.
type LeftOut struct {
	Authority    cert.Purpose `json:"authority"`
	Certificates int          `json:"certificates"`
	Until        time.Time    `json:"until"` // the end of the last of them
}

// Fit returns what the lists have room for of what is wanted and not stored, and what
// they have no room for, by authority. What ends last comes first. Of a join whose
// certificates do not fit into both lists, those that fit into one are a revocation of
// their own, so that the rest can be revoked when there is room.
func Fit(stored, wanted []store.Revocation, now time.Time) (fits []store.Revocation, left []LeftOut, err error) {
	f := fitting{now: now, room: map[list]int{listSSH: MaxRevokedSSH, listX509: MaxRevokedX509}, listed: map[issuedSerial]bool{}}
	known := map[string]bool{}
	for _, r := range stored {
		known[r.ID] = true
		fresh, err := f.fresh(r)
		if err != nil {
			return nil, nil, err
		}
		for l, serials := range fresh {
			f.take(l, serials)
		}
	}
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(r store.Revocation) bool { return known[r.ID] })
	slices.SortStableFunc(wanted, func(x, y store.Revocation) int { return y.Ends().Compare(x.Ends()) })
	for _, r := range wanted {
		part, rest, err := f.split(r)
		if err != nil {
			return nil, nil, err
		}
		if len(part.Certificates) > 0 && !known[part.ID] {
			fits = append(fits, part)
		}
		left = leave(left, rest)
	}
	slices.SortFunc(left, func(x, y LeftOut) int { return cmp.Compare(x.Authority, y.Authority) })
	return fits, left, nil
}

// fitting is what the lists have by now.
type fitting struct {
	now    time.Time
	room   map[list]int
	listed map[issuedSerial]bool
}

// fresh returns the certificates of r that would be new to the lists, by list. A list is
// there if r has any certificate for it.
func (f *fitting) fresh(r store.Revocation) (map[list][]issuedSerial, error) {
	fresh := map[list][]issuedSerial{}
	for _, c := range r.Certificates {
		serial, err := ParseSerial(c.Authority, c.Serial)
		if err != nil {
			return nil, invalid(r, err)
		}
		l, s := listOf(c.Authority), issuedSerial{c.Authority, serial.Text(16)}
		if fresh[l] == nil {
			fresh[l] = []issuedSerial{}
		}
		if !f.listed[s] && !ended(c, f.now) {
			fresh[l] = append(fresh[l], s)
		}
	}
	return fresh, nil
}

func (f *fitting) take(l list, serials []issuedSerial) {
	for _, s := range serials {
		f.listed[s] = true
	}
	f.room[l] -= len(serials)
}

// split takes r, or the part of it that goes into one list. rest has no room.
func (f *fitting) split(r store.Revocation) (part store.Revocation, rest []store.RevokedCertificate, err error) {
	fresh, err := f.fresh(r)
	if err != nil {
		return part, nil, err
	}
	part = r
	for l, serials := range fresh {
		if len(serials) <= f.room[l] {
			f.take(l, serials)
			continue
		}
		in := func(c store.RevokedCertificate) bool { return listOf(c.Authority) == l }
		rest = append(rest, slices.DeleteFunc(slices.Clone(part.Certificates), func(c store.RevokedCertificate) bool { return !in(c) })...)
		part.Certificates = slices.DeleteFunc(slices.Clone(part.Certificates), in)
	}
	if len(rest) > 0 && len(part.Certificates) > 0 {
		part.ID += "." + string(listOf(part.Certificates[0].Authority))
	}
	return part, rest, nil
}

// leave adds to what is left out.
func leave(left []LeftOut, certificates []store.RevokedCertificate) []LeftOut {
	for _, c := range certificates {
		i := slices.IndexFunc(left, func(l LeftOut) bool { return l.Authority == c.Authority })
		if i < 0 {
			i, left = len(left), append(left, LeftOut{Authority: c.Authority})
		}
		left[i].Certificates++
		if c.ExpiresAt.After(left[i].Until) {
			left[i].Until = c.ExpiresAt
		}
	}
	return left
}
