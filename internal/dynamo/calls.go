package dynamo

import (
	"context"
	"errors"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// joinsKey is the key of an item of the table Joins.
func joinsKey(pk, sk string) item { return item{attrPK: text(pk), attrSK: text(sk)} }

// get reads one item, consistently; nil if there is none.
func (s *Store) get(ctx context.Context, table string, key item) (item, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// query reads all pages of a query, consistently, each when it is needed. It
// ends at the first error.
func (s *Store) query(ctx context.Context, in *dynamodb.QueryInput) iter.Seq2[item, error] {
	in.ConsistentRead = aws.Bool(true)
	return func(yield func(item, error) bool) {
		for pages := dynamodb.NewQueryPaginator(s.db, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, found := range page.Items {
				if !yield(found, nil) {
					return
				}
			}
		}
	}
}

// allOf reads all items of a kind of the table Resources and decodes each. One that
// cannot be decoded fails the whole.
func allOf[T any](ctx context.Context, s *Store, kind rules.Kind, doing string, decode func(item) (T, error)) ([]T, error) {
	var all []T
	for found, err := range s.query(ctx, s.ofKind(kind)) {
		if err != nil {
			return nil, fail(doing, err)
		}
		one, err := decode(found)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// refused reports whether the condition of a write did not hold. The item is the one
// that stood there, if the write asked for it.
func refused(err error) (item, bool) {
	failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return nil, false
	}
	return failed.Item, true
}

// condition is when a write is made, with the names and values in it.
type condition struct {
	text   *string
	names  map[string]string
	values item
}

// ifRevision is the condition that an item of the table Resources has a revision; if
// that is empty, that there is none.
func ifRevision(revision string) condition {
	if revision == "" {
		return condition{aws.String("attribute_not_exists(#kind)"), map[string]string{"#kind": attrKind}, nil}
	}
	return condition{aws.String("#revision = :revision"), map[string]string{"#revision": attrRevision}, item{":revision": text(revision)}}
}
