package api

import "strings"

// Login returns the login that a principal of an SSH certificate is about: the
// principal itself, or what stands before the labels of LOGIN@NAME=VALUE,…, which
// say the hosts that it is good on. No login has a "=", and no label an "@".
func Login(principal string) string {
	if at := strings.LastIndexByte(principal, '@'); at > 0 && strings.Contains(principal[at:], "=") {
		return principal[:at]
	}
	return principal
}
