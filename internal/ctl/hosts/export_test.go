package hosts

// What the fuzz target reaches directly.
var (
	ParseAuthority = parseAuthority
	AuthorityText  = authorityText
)
