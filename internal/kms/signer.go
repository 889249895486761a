package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// signer signs by one KMS key within one request.
type signer struct {
	ctx    context.Context // crypto.Signer hands none over
	client *awskms.Client
	key    string
	public *ecdsa.PublicKey
}

var _ crypto.Signer = (*signer)(nil)

func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign returns the ASN.1 signature (RFC 3279 §2.2.3) of a SHA-256 digest. KMS has
// its own randomness. Whether the signature verifies is checked with the product
// that it is for, by internal/cert.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil || opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, errors.New("a KMS key of ECC_NIST_P256 signs SHA-256 digests only")
	}
	out, err := s.client.Sign(s.ctx, &awskms.SignInput{
		KeyId:            aws.String(s.key),
		Message:          digest,
		MessageType:      types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		return nil, err
	}
	return out.Signature, nil
}

// publicKey reads the public half of a key, and refuses one that is of another type.
func publicKey(ctx context.Context, client *awskms.Client, key string) (*ecdsa.PublicKey, error) {
	out, err := client.GetPublicKey(ctx, &awskms.GetPublicKeyInput{KeyId: aws.String(key)})
	if err != nil {
		return nil, err
	}
	if out.KeySpec != types.KeySpecEccNistP256 || out.KeyUsage != types.KeyUsageTypeSignVerify {
		return nil, fmt.Errorf("KMS key %s is %s for %s; it must be ECC_NIST_P256 for SIGN_VERIFY", key, out.KeySpec, out.KeyUsage)
	}
	public, err := cert.ParseAuthorityKey(out.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("the public half of KMS key %s: %w", key, err)
	}
	return public, nil
}
