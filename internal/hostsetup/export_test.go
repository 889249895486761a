package hostsetup

// What the fuzz targets reach directly.
var (
	ParseConfig    = parseConfig
	ParseAuthority = parseAuthority
	AuthorityText  = authorityText
)

// Conflicts lets the tests ask for conflicts of parsed lines.
func (h *Host) Conflicts(all []directive) []directive { return h.conflicts(all) }

// IncludesConfigFile lets the tests ask whether parsed lines include ConfigFile.
var IncludesConfigFile = includesConfigFile
