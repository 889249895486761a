//go:build unix && !linux

package destination

import "os"

func setACL(*os.File, Access) error { return errNoACLs }

func hasACL(*os.File, Access) bool { return false }
