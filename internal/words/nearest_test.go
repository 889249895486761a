package words

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"server", "token", "ttl", "destination", "join", "start"}
	for word, want := range map[string]string{
		"sever": "server", "servre": "server", "tokn": "token", "destinaton": "destination", "joi": "join",
		"x": "", "zz": "", "frobnicate": "", "tt": "ttl", "jion": "join", "t": "", "": "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
