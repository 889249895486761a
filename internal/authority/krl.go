package authority

import (
	"encoding/binary"
	"time"

	"golang.org/x/crypto/ssh"
)

// The numbers of OpenSSH's PROTOCOL.krl.
const (
	krlMagic          = 0x5353484b524c0a00 // "SSHKRL\n\0"
	krlFormat         = 1
	krlCertificates   = 1    // KRL_SECTION_CERTIFICATES
	krlCertSerialList = 0x20 // KRL_SECTION_CERT_SERIAL_LIST
)

// krlHeader begins a KRL.
type krlHeader struct {
	Magic     uint64
	Format    uint32
	Version   uint64
	Generated uint64
	Flags     uint64
	Reserved  string
	Comment   string
}

// krlSection is a section of a KRL, and of a section of certificates.
type krlSection struct {
	Type byte
	Data []byte
}

type krlAuthority struct {
	Key      []byte // empty: any
	Reserved []byte
	Rest     []byte `ssh:"rest"`
}

// KRL returns an OpenSSH key revocation list (PROTOCOL.krl, format 1) of the user
// certificates with these serials, whichever key signed them: a host may trust a key
// longer than the service tells it to, and serials are random, so that none is two
// certificates'. version grows with time. Without serials it is a list of nothing,
// which sshd takes.
func KRL(serials []uint64, version uint64, now time.Time) []byte {
	list := ssh.Marshal(krlHeader{
		Magic: krlMagic, Format: krlFormat, Version: version, Generated: uint64(now.Unix()), Comment: "gatepass",
	})
	if len(serials) == 0 {
		return list
	}
	numbers := make([]byte, 0, 8*len(serials))
	for _, serial := range serials {
		numbers = binary.BigEndian.AppendUint64(numbers, serial)
	}
	section := ssh.Marshal(krlSection{Type: krlCertSerialList, Data: numbers})
	ofAnyKey := ssh.Marshal(krlAuthority{Rest: section})
	return append(list, ssh.Marshal(krlSection{Type: krlCertificates, Data: ofAnyKey})...)
}
