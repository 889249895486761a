package cert

// String returns the name as RFC 4514 writes it: the last attribute first, "CN=app,OU=orders".
func (s Subject) String() string { return s.name.String() }

// Purpose returns the purpose of the authority that signs the subject.
func (s Subject) Purpose() Purpose { return s.purpose }
