package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// The conditional write of a use, and why it is as it is: docs/storage.md.
const (
	attrDigests    = "digests"
	notAfterPrefix = "not_after/" // and a digest

	// addUse changes nothing if the digest is there. What is set already stays:
	// the end of the first use is the one that counts.
	addUse = "ADD #digests :digests SET #notAfter = if_not_exists(#notAfter, :notAfter), #ttl = "

	// A use is allowed if the digest is there (and its end too, or the claim is damaged).
	useAgain = "contains(#digests, :digest) AND attribute_exists(#notAfter)"
	// Or if fewer than :max are there and the claim is kept for long enough.
	useKept = useAgain + " OR NOT contains(#digests, :digest) AND " +
		"(size(#digests) < :max OR attribute_not_exists(#digests)) AND " +
		"(#ttl >= :keep OR attribute_not_exists(#ttl))"
	setTTL = "if_not_exists(#ttl, :keep)"

	// The same for a claim that exists and is not kept for long enough.
	useLonger    = "size(#digests) < :max AND #ttl < :keep"
	setTTLLonger = ":keep"
)

// claimTries bounds how often Use follows other calls that change how long the
// claim is kept. Two are enough unless several versions of the service run at once.
const claimTries = 5

func claimKey(idToken string) item { return joinsKey("claim/"+idToken, "claim") }

// Claim implements join.Claims.
func (s *Store) Claim(ctx context.Context, idToken string) (map[string]time.Time, error) {
	uses, err := s.claim(ctx, idToken)
	return uses, fail("reading the claim "+idToken, err)
}

func (s *Store) claim(ctx context.Context, idToken string) (map[string]time.Time, error) {
	claim, err := s.get(ctx, s.tables.Joins, claimKey(idToken))
	if err != nil {
		return nil, err
	}
	return usesOf(claim)
}

// usesOf returns the uses of a claim, by digest. An item that does not exist has none.
func usesOf(claim item) (map[string]time.Time, error) {
	r := reader{item: claim}
	uses := make(map[string]time.Time)
	for _, digest := range r.texts(attrDigests) {
		uses[digest] = r.seconds(notAfterPrefix + digest)
	}
	return uses, r.err
}

// Use implements join.Claims. It is one call, save where the claim would be
// deleted before u.KeepUntil: then there is another one, which keeps it longer.
func (s *Store) Use(ctx context.Context, u store.Use) (time.Time, error) {
	notAfter, err := s.use(ctx, u)
	if errors.Is(err, store.ErrUsed) {
		return time.Time{}, fmt.Errorf("claim %s: %w", u.IDToken, err)
	}
	return notAfter, fail("claiming a use of the ID token "+u.IDToken, err)
}

func (s *Store) use(ctx context.Context, u store.Use) (time.Time, error) {
	allowed := useKept
	if u.MaxJoins <= 0 { // not even the first, which has no digests to count
		allowed = useAgain
	}
	condition, ttl := allowed, setTTL
	for range claimTries {
		claim, refused, err := s.updateClaim(ctx, u, condition, ttl)
		if err != nil {
			return time.Time{}, err
		}
		uses, err := usesOf(claim)
		if err != nil {
			return time.Time{}, err
		}
		notAfter, used := uses[u.Digest]
		switch {
		case used: // now, before, or by a try of this call whose answer was lost
			return notAfter, nil
		case !refused:
			return time.Time{}, errors.New("the claim does not have the use that was stored")
		case len(uses) >= u.MaxJoins:
			return time.Time{}, store.ErrUsed
		}
		r := reader{item: claim}
		condition, ttl = allowed, setTTL
		if r.number(attrTTL) < wholeSeconds(u.KeepUntil) {
			condition, ttl = useLonger, setTTLLonger
		}
		if r.err != nil {
			return time.Time{}, r.err
		}
	}
	return time.Time{}, fmt.Errorf("others changed %d times how long the claim is kept", claimTries)
}

// updateClaim sends the one conditional write of a use. It returns the claim as
// it is then, and whether the condition refused the write.
func (s *Store) updateClaim(ctx context.Context, u store.Use, condition, ttl string) (claim item, refused bool, err error) {
	values := item{
		":digests":  &types.AttributeValueMemberSS{Value: []string{u.Digest}},
		":notAfter": number(wholeSeconds(u.NotAfter)),
		":keep":     number(wholeSeconds(u.KeepUntil)),
	}
	// DynamoDB refuses values that are not used.
	if condition != useLonger {
		values[":digest"] = text(u.Digest)
	}
	if condition != useAgain {
		values[":max"] = number(int64(u.MaxJoins))
	}
	out, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:           &s.tables.Joins,
		Key:                 claimKey(u.IDToken),
		ConditionExpression: &condition,
		UpdateExpression:    aws.String(addUse + ttl),
		ExpressionAttributeNames: map[string]string{
			"#digests": attrDigests, "#notAfter": notAfterPrefix + u.Digest, "#ttl": attrTTL,
		},
		ExpressionAttributeValues:           values,
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if late, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return late.Item, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	return out.Attributes, false, nil
}
