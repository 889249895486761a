package dynamo

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// The conditional write of a use, and why it is as it is: docs/storage.md.
const (
	attrDigests = "digests"
	// Before a digest.
	joinPrefix     = "join/"
	notAfterPrefix = "not_after/"
	answersPrefix  = "answers/"

	// addUse counts an answer. The digest is added unless it is there, and what is set
	// already stays: the first answer is the one that counts.
	addUse = "ADD #digests :digests, #answers :one " +
		"SET #join = if_not_exists(#join, :join), #notAfter = if_not_exists(#notAfter, :notAfter), #ttl = "

	// A use is allowed if the digest is there (and its answer too, or the item is
	// damaged) and has answers left.
	useAgain = "contains(#digests, :digest) AND attribute_exists(#join) AND attribute_exists(#notAfter) AND #answers < :answers"
	// Or if fewer than :max are there and the item is kept for long enough.
	useKept = useAgain + " OR NOT contains(#digests, :digest) AND " +
		"(size(#digests) < :max OR attribute_not_exists(#digests)) AND " +
		"(#ttl >= :keep OR attribute_not_exists(#ttl))"
	setTTL = "if_not_exists(#ttl, :keep)"

	// The same for an item that exists and is not kept for long enough.
	useLonger    = "NOT contains(#digests, :digest) AND size(#digests) < :max AND #ttl < :keep"
	setTTLLonger = ":keep"
)

// useTries bounds how often Use follows other calls that change how long the
// item is kept. Two are enough unless several versions of the service run at once.
const useTries = 5

// usesKey is the key of the item with the uses of an ID token.
func usesKey(idToken string) item { return joinsKey("claim/"+idToken, "claim") }

// Uses implements store.Ledger.
func (s *Store) Uses(ctx context.Context, idToken string) (map[string]store.Answer, error) {
	uses, err := s.uses(ctx, idToken)
	return uses, fail("reading the uses of the ID token "+idToken, err)
}

func (s *Store) uses(ctx context.Context, idToken string) (map[string]store.Answer, error) {
	found, err := s.get(ctx, s.tables.Joins, usesKey(idToken))
	if err != nil {
		return nil, err
	}
	return usesOf(found)
}

// usesOf returns the uses in an item, by digest. An item that does not exist has none.
func usesOf(found item) (map[string]store.Answer, error) {
	r := reader{item: found}
	uses := make(map[string]store.Answer)
	for _, digest := range r.texts(attrDigests) {
		uses[digest] = store.Answer{
			JoinID:   r.text(joinPrefix + digest),
			NotAfter: r.seconds(notAfterPrefix + digest),
			Answers:  int(r.number(answersPrefix + digest)),
		}
	}
	return uses, r.err
}

// Use implements store.Ledger, by two writes at once: the use and the record. Why they
// are no transaction: docs/decisions/0021-one-durable-write.md.
func (s *Store) Use(ctx context.Context, u store.Use) (store.Answer, error) {
	put, err := encodeRecord(u.Record, u.RecordUntil)
	if err != nil {
		return store.Answer{}, fail("storing the record "+u.Record.JoinID, err)
	}
	var g errgroup.Group
	g.Go(func() (err error) {
		defer func() {
			if fault := recover(); fault != nil { // nothing above would keep it from ending the process
				err = fmt.Errorf("panic: %v\n%s", fault, debug.Stack())
			}
		}()
		return fail("storing the record "+u.Record.JoinID, s.putRecord(ctx, put))
	})
	first, useErr := s.use(ctx, u)
	recordErr := g.Wait() // whatever came of the use: no write is under way when the caller goes on
	switch {
	case errors.Is(useErr, store.ErrUsed) || errors.Is(useErr, store.ErrAnswered):
		return store.Answer{}, fmt.Errorf("ID token %s: %w", u.IDToken, useErr)
	case useErr != nil:
		return store.Answer{}, fail("storing a use of the ID token "+u.IDToken, useErr)
	case recordErr != nil:
		return store.Answer{}, recordErr
	}
	return first, nil
}

// use is one call, save where the item would be deleted before u.KeepUntil: then there
// is another one, which keeps it longer.
func (s *Store) use(ctx context.Context, u store.Use) (store.Answer, error) {
	allowed := useKept
	if u.MaxJoins <= 0 { // not even the first, which has no digests to count
		allowed = useAgain
	}
	condition, ttl := allowed, setTTL
	for range useTries {
		found, late, err := s.updateUses(ctx, u, condition, ttl)
		if err != nil {
			return store.Answer{}, err
		}
		uses, err := usesOf(found)
		if err != nil {
			return store.Answer{}, err
		}
		first, used := uses[u.Digest]
		switch {
		case used && (!late || first.JoinID == u.Record.JoinID): // now, before, or by a try of this call whose answer was lost
			return first, nil
		case used && first.Answers >= u.MaxAnswers:
			return store.Answer{}, store.ErrAnswered
		case used: // by another call, since the last try
			condition, ttl = allowed, setTTL
			continue
		case !late:
			return store.Answer{}, errors.New("the item does not have the use that was stored")
		case len(uses) >= u.MaxJoins:
			return store.Answer{}, store.ErrUsed
		}
		r := reader{item: found}
		condition, ttl = allowed, setTTL
		if r.number(attrTTL) < store.Seconds(u.KeepUntil) {
			condition, ttl = useLonger, setTTLLonger
		}
		if r.err != nil {
			return store.Answer{}, r.err
		}
	}
	return store.Answer{}, fmt.Errorf("others changed %d times how long the uses are kept", useTries)
}

// updateUses sends the one conditional write of a use. It returns the item as it is
// then, and whether the condition refused the write.
func (s *Store) updateUses(ctx context.Context, u store.Use, condition, ttl string) (found item, late bool, err error) {
	values := item{
		":digests":  &types.AttributeValueMemberSS{Value: []string{u.Digest}},
		":digest":   text(u.Digest),
		":join":     text(u.Record.JoinID),
		":notAfter": number(store.Seconds(u.NotAfter)),
		":one":      number(1),
		":keep":     number(store.Seconds(u.KeepUntil)),
	}
	// DynamoDB refuses values that are not used.
	if condition != useLonger {
		values[":answers"] = number(int64(u.MaxAnswers))
	}
	if condition != useAgain {
		values[":max"] = number(int64(u.MaxJoins))
	}
	out, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:           &s.tables.Joins,
		Key:                 usesKey(u.IDToken),
		ConditionExpression: &condition,
		UpdateExpression:    aws.String(addUse + ttl),
		ExpressionAttributeNames: map[string]string{
			"#digests": attrDigests, "#ttl": attrTTL, "#join": joinPrefix + u.Digest,
			"#notAfter": notAfterPrefix + u.Digest, "#answers": answersPrefix + u.Digest,
		},
		ExpressionAttributeValues:           values,
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if there, ok := refused(err); ok {
		return there, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	return out.Attributes, false, nil
}
