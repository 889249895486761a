package revoke

import (
	"crypto"
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
	Key      []byte
	Reserved []byte
	Rest     []byte `ssh:"rest"`
}

type krlSerials struct {
	Serials []byte `ssh:"rest"`
}

// KRL returns an OpenSSH key revocation list (PROTOCOL.krl, format 1) of the user
// certificates with these serials, whichever of the authorities' keys signed
// them: serials are random, so none is two certificates'. version grows with time.
// Without serials it is a list of nothing, which sshd takes.
func KRL(authorities []crypto.PublicKey, serials []uint64, version uint64, now time.Time) ([]byte, error) {
	list := ssh.Marshal(krlHeader{
		Magic: krlMagic, Format: krlFormat, Version: version, Generated: uint64(now.Unix()), Comment: "gatepass",
	})
	if len(serials) == 0 {
		return list, nil
	}
	numbers := make([]byte, 0, 8*len(serials))
	for _, serial := range serials {
		numbers = append(numbers, ssh.Marshal(struct{ N uint64 }{serial})...)
	}
	section := ssh.Marshal(krlSection{Type: krlCertSerialList, Data: ssh.Marshal(krlSerials{numbers})})
	for _, key := range authorities {
		public, err := ssh.NewPublicKey(key)
		if err != nil {
			return nil, err
		}
		of := ssh.Marshal(krlAuthority{Key: public.Marshal(), Rest: section})
		list = append(list, ssh.Marshal(krlSection{Type: krlCertificates, Data: of})...)
	}
	return list, nil
}
