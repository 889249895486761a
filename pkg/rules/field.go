package rules

import (
	"errors"
	"fmt"
)

// CheckField reads one value for a field of a resource, for programs that ask a
// person for one after another. It returns the value as it is kept, or an error
// that says what to write instead. The names are those of the fields: name,
// bot_name, expires, identity_provider_url, issuer, audience, logins, branch_name,
// vcs_origin, vcs_ref and those that hold UUIDs. What is not set is an error too.
func CheckField(field, value string) (string, error) {
	if value == "" {
		return "", errors.New("is missing")
	}
	c := &checker{}
	var root path
	at := root.field(field)
	if id := uuidFieldOf(field); id != nil {
		value = c.uuid(&at, id, text(value))
	} else {
		c.plainField(&at, field, value)
	}
	if len(c.faults) > 0 {
		return "", errors.New(c.faults[0].message)
	}
	return value, nil
}

func (c *checker) plainField(at *path, field, value string) {
	switch field {
	case "name":
		c.fault(at, checkName(value, maxName))
	case "bot_name":
		c.fault(at, checkName(value, maxBotName))
	case "expires":
		c.time(at, text(value))
	case "identity_provider_url", "issuer":
		c.fault(at, checkIssuer(value))
	case "audience":
		c.fault(at, checkAudience(value))
	case fieldLogins:
		c.fault(at, checkGrant(field, value))
	case fieldBranchName, fieldVCSOrigin, fieldVCSRef:
		c.pattern(at, text(value))
	default:
		c.fault(at, fmt.Sprintf("%q is not a field", field))
	}
}

// Where says where in its CI system a person finds the UUID that a field holds;
// "" for a field that holds none.
func Where(field string) string {
	if id := uuidFieldOf(field); id != nil {
		return id.where
	}
	return ""
}

func uuidFieldOf(field string) *uuidField {
	switch field {
	case fieldWorkspaceUUID:
		return &workspaceUUID
	case fieldRepositoryUUID:
		return &repositoryUUID
	case fieldEnvironmentUUID:
		return &environmentUUID
	case "organization_id":
		return &organizationID
	case fieldContextID:
		return &contextID
	case fieldProjectID:
		return &projectID
	case fieldDefinitionID:
		return &definitionID
	}
	return nil
}
