package dynamo

import (
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// item is a stored item. Its methods return an error, and never panic, for an
// attribute that is absent or of another type.
type item map[string]types.AttributeValue

// reader reads attributes of an item and keeps the first error, which names the attribute.
type reader struct {
	item item
	err  error
}

func (r *reader) fail(name, want string) {
	if r.err != nil {
		return
	}
	if r.item[name] == nil {
		r.err = fmt.Errorf("its attribute %s is missing", name)
	} else {
		r.err = fmt.Errorf("its attribute %s is no %s", name, want)
	}
}

func (r *reader) text(name string) string {
	s, ok := r.item[name].(*types.AttributeValueMemberS)
	if !ok {
		r.fail(name, "string")
		return ""
	}
	return s.Value
}

func (r *reader) truth(name string) bool {
	b, ok := r.item[name].(*types.AttributeValueMemberBOOL)
	if !ok {
		r.fail(name, "boolean")
		return false
	}
	return b.Value
}

func (r *reader) number(name string) int64 {
	n, ok := r.item[name].(*types.AttributeValueMemberN)
	if !ok {
		r.fail(name, "number")
		return 0
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		r.fail(name, "whole number of 64 bits")
	}
	return i
}

// texts returns the strings of a set; none if there is no such attribute, since
// DynamoDB has no empty sets.
func (r *reader) texts(name string) []string {
	if r.item[name] == nil {
		return nil
	}
	set, ok := r.item[name].(*types.AttributeValueMemberSS)
	if !ok {
		r.fail(name, "string set")
		return nil
	}
	return set.Value
}

func (r *reader) instant(name string) time.Time { return store.FromNanoseconds(r.number(name)) }

func (r *reader) seconds(name string) time.Time { return store.FromSeconds(r.number(name)) }

// has tells whether there is such an attribute, of whatever type.
func (r *reader) has(name string) bool { return r.item[name] != nil }

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func truth(b bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: b} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// instant is t in nanoseconds since 1970.
func instant(t time.Time) (types.AttributeValue, error) {
	n, err := store.Nanoseconds(t)
	if err != nil {
		return nil, err
	}
	return number(n), nil
}
