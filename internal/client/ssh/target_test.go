package ssh

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]Target{
		"host":                     {Host: "host"},
		"deploy@host":              {User: "deploy", Host: "host"},
		"deploy@host:2222":         {User: "deploy", Host: "host", Port: 2222},
		"a@b@host":                 {User: "a@b", Host: "host"},
		"[2001:db8::1]":            {Host: "2001:db8::1"},
		"x@[2001:db8::1]:22":       {User: "x", Host: "2001:db8::1", Port: 22},
		"2001:db8::1":              {Host: "2001:db8::1"},
		"10.0.0.1:65535":           {Host: "10.0.0.1", Port: 65535},
		"fe80::1%eth0":             {Host: "fe80::1%eth0"},
		"ECHO_1.internal.example.": {Host: "echo_1.internal.example."},
	} {
		if got, err := ParseTarget(text); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", text, got, err, want)
		}
	}
	for text, why := range map[string]string{
		"": "host", "@host": "login", "deploy@": "host", "host:": "port", "host:0": "port", "host:65536": "port", "host:x": "port",
		"-oProxyCommand=x": "host", "-l@host": "login", "a b@host": "login", "host name": "host", "[host]": "address", "[::1": "address",
		"[::1]22": "address", "[::1]:": "port", "host/path": "host", "h\x1b[31m": "host", "a;b@host": "login",
	} {
		got, err := ParseTarget(text)
		if err == nil || !strings.Contains(err.Error(), map[string]string{
			"login": "its login is not", "host": "its host is not", "port": "its port is", "address": "brackets are for",
		}[why]) {
			t.Errorf("%q: %+v %v, want an error about its %s", text, got, err, why)
		}
	}
}

func TestTargetName(t *testing.T) {
	for want, target := range map[string]Target{"h": {Host: "h", Port: 22}, "h:23": {Host: "h", Port: 23}, "[::1]:23": {Host: "::1", Port: 23}} {
		if got := target.Name(); got != want {
			t.Errorf("%+v is called %s, want %s", target, got, want)
		}
	}
	if got := (Target{Host: "h"}).Or("deploy", 2222); got != (Target{User: "deploy", Host: "h", Port: 2222}) {
		t.Errorf("defaults: %+v", got)
	}
	if got := (Target{User: "a", Host: "h", Port: 1}).Or("deploy", 2222); got != (Target{User: "a", Host: "h", Port: 1}) {
		t.Errorf("defaults replace what is given: %+v", got)
	}
}
