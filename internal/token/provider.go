package token

import "fmt"

// provider is what there is to know of one CI's ID tokens. To add a CI, write
// one and name it in providerFor.
type provider interface {
	// fields reads what token rules of this CI can test.
	fields(claims) map[string][]string
	// check is step 5, over verified claims that passed step 4.
	check(claims, Expect) error
}

func providerFor(method string) (provider, error) {
	switch method {
	case "bitbucket":
		return bitbucket{}, nil
	case "circleci":
		return circleCI{}, nil
	default:
		return nil, fmt.Errorf("unknown join method %q", method)
	}
}

// ruleField is a field of a token rule and the claim that it tests.
type ruleField struct{ name, claim string }

// readFields reads claims that must be non-empty strings. Whatever is not is
// left out, so that no rule can match it.
func readFields(c claims, list []ruleField) map[string][]string {
	fields := make(map[string][]string, len(list)+1)
	for _, f := range list {
		if s, ok := c[f.claim].(string); ok && s != "" {
			fields[f.name] = []string{s}
		}
	}
	return fields
}

// requireText demands that each claim be a string that is not empty.
func requireText(c claims, names ...string) error {
	for _, name := range names {
		if _, err := c.text(name); err != nil {
			return err
		}
	}
	return nil
}
