package dynamo

import (
	"context"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
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
