package cert

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
)

// NewSSHSerial draws a random SSH certificate serial, from 1 to 2^63-1: below
// 2^63, since not every tool that reads a KRL or a log has unsigned numbers.
func NewSSHSerial(rand io.Reader) (uint64, error) {
	for {
		var b [8]byte
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return 0, fmt.Errorf("drawing an SSH serial: %w", err)
		}
		if serial := binary.BigEndian.Uint64(b[:]) >> 1; serial != 0 {
			return serial, nil
		}
	}
}

// NewX509Serial draws a random X.509 serial of 128 bits, never zero. RFC 5280
// §4.1.2.2 wants a positive number of at most 20 octets; this takes at most 17.
func NewX509Serial(rand io.Reader) (*big.Int, error) {
	for {
		var b [16]byte
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return nil, fmt.Errorf("drawing an X.509 serial: %w", err)
		}
		if serial := new(big.Int).SetBytes(b[:]); serial.Sign() > 0 {
			return serial, nil
		}
	}
}
