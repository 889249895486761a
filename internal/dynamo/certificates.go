package dynamo

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

const attrPEM = "pem"

// certificateKey is the key of a certificate's item; key is empty for the key that
// the authority began with.
func certificateKey(p cert.Purpose, key string) item {
	pk := "certificate/" + string(p)
	if key != "" {
		pk += "/" + key
	}
	return joinsKey(pk, "certificate")
}

// Certificate returns the stored certificate (PEM) of a key of an X.509 authority;
// store.ErrNotFound if there is none. key is the id of one that a rotation made, and
// empty for the one that the authority began with.
func (s *Store) Certificate(ctx context.Context, p cert.Purpose, key string) (string, error) {
	doing := fmt.Sprintf("reading the certificate of the authority %s", p)
	found, err := s.get(ctx, s.tables.Joins, certificateKey(p, key))
	if err != nil {
		return "", fail(doing, err)
	}
	if found == nil {
		return "", fmt.Errorf("certificate of the authority %s: %w", p, store.ErrNotFound)
	}
	r := reader{item: found}
	pem := r.text(attrPEM)
	return pem, fail(doing, r.err)
}

// PutCertificate stores pem as the certificate of a key of an X.509 authority unless
// one is stored, and returns the one that is stored then: of any number of callers
// the first decides, and all get the same.
func (s *Store) PutCertificate(ctx context.Context, p cert.Purpose, key, pem string) (string, error) {
	doing := fmt.Sprintf("storing the certificate of the authority %s", p)
	put := certificateKey(p, key)
	put[attrPEM] = text(pem)
	_, err := s.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.tables.Joins, Item: put,
		ConditionExpression:                 aws.String("attribute_not_exists(#pk)"),
		ExpressionAttributeNames:            map[string]string{"#pk": attrPK},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if earlier, ok := refused(err); ok {
		r := reader{item: earlier}
		stored := r.text(attrPEM)
		return stored, fail(doing, r.err)
	}
	if err != nil {
		return "", fail(doing, err)
	}
	return pem, nil
}
