package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

// ugly is text that moves a terminal, begins lines of its own and turns the direction of text.
const ugly = "\x1b[31mred\x1b]0;title\x07\r\n##[error]forged\u0085\u202egnp.exe\u0090\x00"

// answers makes an answer of a status, a content type and a body.
func answers(status int, media, body string) func(http.ResponseWriter, api.JoinRequest) {
	return func(w http.ResponseWriter, _ api.JoinRequest) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// raw answers with bytes in which TOKEN is the ID token, and closes the connection.
func raw(answer string) func(http.ResponseWriter, api.JoinRequest) {
	return func(w http.ResponseWriter, request api.JoinRequest) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, strings.ReplaceAll(answer, "TOKEN", request.IDToken))
	}
}

// says answers with a problem in which TOKEN is the ID token.
func says(body string) func(http.ResponseWriter, api.JoinRequest) {
	return func(w http.ResponseWriter, request api.JoinRequest) {
		escaped := ""
		for _, b := range []byte(request.IDToken) {
			escaped += fmt.Sprintf(`\u%04x`, b)
		}
		answers(403, api.ProblemContentType, strings.NewReplacer("TOKEN", request.IDToken, "ESCAPED", escaped).Replace(body))(w, request)
	}
}

func jsonText(s string) string { raw, _ := json.Marshal(s); return string(raw) }

// hostileAnswers come in place of the service's. Each is refused.
var hostileAnswers = map[string]func(http.ResponseWriter, api.JoinRequest){
	"no JSON":                answers(200, "application/json", "{"),
	"an array":               answers(200, "application/json", "[]"),
	"null":                   answers(200, "application/json", "null"),
	"a text":                 answers(200, "application/json", `"join"`),
	"nothing":                answers(200, "application/json", ""),
	"an empty object":        answers(200, "application/json", "{}"),
	"two objects":            answers(200, "application/json", "{}{}"),
	"another type":           answers(200, "application/json", `{"join_id":5}`),
	"a nest":                 answers(200, "application/json", strings.Repeat("[", 400_000)),
	"a nest of objects":      answers(200, "application/json", strings.Repeat(`{"a":`, 150_000)),
	"no UTF-8":               answers(200, "application/json", "{\"join_id\":\"\xff\xfe\"}"),
	"a time that is none":    answers(200, "application/json", `{"expires_at":"soon"}`),
	"a number beyond all":    answers(200, "application/json", `{"ttl_seconds":1e999}`),
	"plain text":             answers(200, "text/plain", ugly),
	"no type":                answers(200, "", "{}"),
	"an ugly type":           answers(200, "text/\x1b[31mred", "{}"),
	"an endless type":        answers(200, "text/"+strings.Repeat("x", 30_000), "{}"),
	"created":                answers(201, "application/json", "{}"),
	"no content":             func(w http.ResponseWriter, _ api.JoinRequest) { w.WriteHeader(204) },
	"not modified":           func(w http.ResponseWriter, _ api.JoinRequest) { w.WriteHeader(304) },
	"a teapot":               answers(418, "text/html", ugly),
	"who are you":            answers(401, "text/html", ugly),
	"a proxy's question":     answers(407, "text/html", ugly),
	"a problem of none":      answers(403, api.ProblemContentType, `{}`),
	"a problem that is none": answers(403, api.ProblemContentType, `no`),
	"a problem, all well":    answers(200, api.ProblemContentType, `{"code":"locked"}`),
	"a code nobody knows":    answers(403, api.ProblemContentType, `{"code":"brand_new"}`),
	"an ugly problem":        answers(403, api.ProblemContentType, fmt.Sprintf(`{"code":%[1]s,"title":%[1]s,"detail":%[1]s,"join_id":%[1]s,"presented":{%[1]s:[%[1]s]},"unmatched_fields":[%[1]s]}`, jsonText(ugly))),
	"a problem of many notes": func(w http.ResponseWriter, _ api.JoinRequest) {
		p := api.NewProblem(api.CodeNoRuleMatched, strings.Repeat("long ", 20_000))
		p.Presented = map[string][]string{}
		for i := range 20_000 {
			p.Presented[fmt.Sprint("field_", i)] = []string{strings.Repeat("v", 20)}
		}
		problem(w, p)
	},
	"an echo in the code":        says(`{"code":"TOKEN","detail":"x"}`),
	"an echo in the join":        says(`{"code":"locked","join_id":"TOKEN"}`),
	"an echo in the detail":      says(`{"code":"locked","detail":"said TOKEN TOKEN"}`),
	"an echo behind a long text": says(`{"code":"locked","detail":"` + strings.Repeat("x", 550) + `TOKEN"}`),
	"an echo, escaped":           says(`{"code":"locked","detail":"ESCAPED","join_id":"ESCAPED"}`),
	"an echo in the fields":      says(`{"code":"no_rule_matched","presented":{"TOKEN":["TOKEN"],"b":["x","TOKEN"]},"unmatched_fields":["TOKEN"]}`),
	"an echo in the type":        func(w http.ResponseWriter, r api.JoinRequest) { answers(200, "text/"+r.IDToken, "x")(w, r) },
	"an echo in a parameter":     func(w http.ResponseWriter, r api.JoinRequest) { answers(200, "text/x; a="+r.IDToken, "x")(w, r) },
	"an echo in the way": func(w http.ResponseWriter, r api.JoinRequest) {
		w.Header().Set("Location", "https://"+r.IDToken[:60]+"."+r.IDToken+"/")
		w.WriteHeader(302)
	},
	"an echo in the status":     raw("HTTP/1.1 TOKEN no\r\n\r\n"),
	"an echo for a status line": raw("TOKEN\r\n\r\n"),
	"an echo for a header":      raw("HTTP/1.1 200 OK\r\nTOKEN\r\n\r\n"),
	"an echo for a length":      raw("HTTP/1.1 200 OK\r\nContent-Length: TOKEN\r\n\r\n"),
	"an echo for an encoding":   raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: TOKEN\r\n\r\n"),
	"an echo for a chunk":       raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nTOKEN\r\n"),
	"an echo for gzip":          raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\nTOKEN"),
	"HTTP 0.9":                  raw("{}"),
	"HTTP 9.9":                  raw("HTTP/9.9 200 OK\r\n\r\n{}"),
	"a status that is none":     raw("HTTP/1.1 000 \x1b[31m\r\n\r\n"),
	"a status beyond all":       raw("HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n"),
	"another protocol":          raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
	"half a header":             raw("HTTP/1.1 200 OK\r\nContent-Ty"),
	"half a body":               raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"),
	"two lengths":               raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
	"a negative length":         raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"),
	"headers without end":       endless("HTTP/1.1 200 OK\r\n", "X-Long: "+strings.Repeat("x", 1000)+"\r\n"),
	"one header without end":    endless("HTTP/1.1 200 OK\r\nX-Long: ", strings.Repeat("x", 1000)),
	"early hints without end":   endless("", "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"),
	"continues without end":     endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
	"a body without end":        endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", strings.Repeat(" ", 1000)),
	"chunks without end":        endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"),
	"a trailer without end":     endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"),
	"a bomb": func(w http.ResponseWriter, _ api.JoinRequest) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		zeros := bytes.Repeat([]byte(" "), 1<<20)
		for range 64 {
			z.Write(zeros)
		}
		z.Close()
	},
	"silence":         drip("", time.Hour),
	"a slow header":   drip("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("y", 1000), 50*time.Millisecond),
	"a slow body":     drip("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"+strings.Repeat(" ", 1000), 50*time.Millisecond),
	"wait, an age":    waits("99999999999999999999"),
	"wait, negative":  waits("-1"),
	"wait, a date":    waits("Fri, 31 Dec 9999 23:59:59 GMT"),
	"wait, ugly":      waits("1\x1b[31m"),
	"elsewhere, 301":  elsewhere(301, "https://elsewhere.example.com/"),
	"elsewhere, 302":  elsewhere(302, "//elsewhere.example.com/v1/join"),
	"elsewhere, 303":  elsewhere(303, "/v1/join"),
	"elsewhere, 308":  elsewhere(308, "file:///etc/passwd"),
	"elsewhere, ugly": elsewhere(307, "https://\x1b[31m.example.com/"),
	"nowhere":         elsewhere(307, ""),
}

func endless(head, again string) func(http.ResponseWriter, api.JoinRequest) {
	return func(w http.ResponseWriter, _ api.JoinRequest) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, err = io.WriteString(conn, head)
		for again = strings.Repeat(again, 20); err == nil; {
			_, err = io.WriteString(conn, again)
		}
	}
}

// drip answers a byte at a time.
func drip(text string, pause time.Duration) func(http.ResponseWriter, api.JoinRequest) {
	return func(w http.ResponseWriter, _ api.JoinRequest) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		for i := 0; i < len(text) && err == nil; i++ {
			time.Sleep(pause)
			_, err = io.WriteString(conn, text[i:i+1])
		}
		_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
	}
}

func waits(after string) func(http.ResponseWriter, api.JoinRequest) {
	return func(w http.ResponseWriter, _ api.JoinRequest) {
		w.Header().Set("Retry-After", after)
		problem(w, api.NewProblem(api.CodeStoreUnavailable, "away"))
	}
}

func elsewhere(status int, to string) func(http.ResponseWriter, api.JoinRequest) {
	return func(w http.ResponseWriter, _ api.JoinRequest) {
		w.Header().Set("Location", to)
		w.WriteHeader(status)
	}
}

// hostileGrants change an answer that is signed well.
var hostileGrants = map[string]func(*api.JoinResponse, api.JoinRequest){
	"cert-missing":   func(r *api.JoinResponse, _ api.JoinRequest) { r.Credentials = r.Credentials[1:] },
	"one more":       func(r *api.JoinResponse, _ api.JoinRequest) { r.Credentials = append(r.Credentials, r.Credentials[0]) },
	"no credentials": func(r *api.JoinResponse, _ api.JoinRequest) { r.Credentials = nil },
	"one twice":      func(r *api.JoinResponse, _ api.JoinRequest) { r.Credentials[1] = r.Credentials[0] },
	"names exchanged": func(r *api.JoinResponse, _ api.JoinRequest) {
		c := r.Credentials
		c[0].Name, c[1].Name = c[1].Name, c[0].Name
	},
	"types exchanged": func(r *api.JoinResponse, _ api.JoinRequest) {
		c := r.Credentials
		c[0].Type, c[1].Type = c[1].Type, c[0].Type
	},
	"a longer life":             func(r *api.JoinResponse, _ api.JoinRequest) { r.TTLSeconds *= 100 },
	"an earlier end":            func(r *api.JoinResponse, _ api.JoinRequest) { r.ExpiresAt = r.ExpiresAt.Add(-10 * time.Minute) },
	"no end":                    func(r *api.JoinResponse, _ api.JoinRequest) { r.ExpiresAt = time.Time{} },
	"no authorities":            func(r *api.JoinResponse, _ api.JoinRequest) { r.Authorities = api.Authorities{} },
	"authorities that are none": func(r *api.JoinResponse, _ api.JoinRequest) { r.Authorities.SSHUser = []string{ugly} },
	"hosts' authorities that are none": func(r *api.JoinResponse, _ api.JoinRequest) {
		r.Authorities.SSHHost = append(r.Authorities.SSHHost, "ssh-ed25519 AAAA\n* ssh-ed25519 AAAA")
	},
	"an X.509 authority that is a key": func(r *api.JoinResponse, _ api.JoinRequest) {
		r.Authorities.X509[api.UsageIdentity] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	},
	"a certificate of two lines": func(r *api.JoinResponse, _ api.JoinRequest) {
		r.Credentials[0].Certificate += "\n" + r.Credentials[0].Certificate
	},
	"a certificate with options": func(r *api.JoinResponse, _ api.JoinRequest) {
		r.Credentials[0].Certificate = "command=\"x\n" + r.Credentials[0].Certificate
	},
	"a certificate that is none":        func(r *api.JoinResponse, _ api.JoinRequest) { r.Credentials[0].Certificate = ugly },
	"an X.509 certificate that is none": func(r *api.JoinResponse, _ api.JoinRequest) { r.Credentials[1].Certificate = ugly },
	"two X.509 certificates": func(r *api.JoinResponse, _ api.JoinRequest) {
		r.Credentials[1].Certificate += r.Credentials[1].Certificate
	},
}

// hostileCertificates change an SSH certificate before it is signed.
var hostileCertificates = map[string]func(*ssh.Certificate){
	"an ugly principal":      func(c *ssh.Certificate) { c.ValidPrincipals = []string{"deploy", ugly} },
	"a principal of lines":   func(c *ssh.Certificate) { c.ValidPrincipals = []string{"deploy\nHost *\n  ProxyCommand evil"} },
	"a principal of bytes":   func(c *ssh.Certificate) { c.ValidPrincipals = []string{"deploy\xff"} },
	"a principal of none":    func(c *ssh.Certificate) { c.ValidPrincipals = []string{""} },
	"a principal that turns": func(c *ssh.Certificate) { c.ValidPrincipals = []string{"\u202edeploy"} },
	"principals without end": func(c *ssh.Certificate) {
		c.ValidPrincipals = strings.Split(strings.Repeat("principal,", 10_000), ",")[:10_000]
	},
	"the ID token, a name": func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, idToken("x")) },
	"the ID token, an ID":  func(c *ssh.Certificate) { c.KeyId = idToken("x") },
	"the ID token, hidden": func(c *ssh.Certificate) { c.Extensions["x@example.com"] = idToken("x") },
	"for ever":             func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity },
	"a day longer":         func(c *ssh.Certificate) { c.ValidBefore += 86400 },
	"an unknown option":    func(c *ssh.Certificate) { c.CriticalOptions["x@example.com"] = ugly },
}

// Whatever comes in place of an answer is refused with the right status and a hint, nothing is
// written, and nothing of it gets into the log that is long, moves a terminal or is the ID token.
func TestHostileServices(t *testing.T) {
	var all []string
	for name := range hostileAnswers {
		all = append(all, name)
	}
	for name := range hostileGrants {
		all = append(all, name)
	}
	for name := range hostileCertificates {
		all = append(all, name)
	}
	if len(all) < 100 {
		t.Errorf("only %d answers", len(all))
	}
	for _, name := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, false)
			s.setFaults("+" + name)
			dir := filepath.Join(t.TempDir(), "id")
			r := gatepass(t, inBitbucket, joinArgs(s, dir, "--ttl=15m")...)
			refused := map[int]bool{1: true, 3: true, 4: true}
			if !refused[r.status] || !strings.Contains(r.stderr, "hint: ") || r.stdout != "" {
				t.Errorf("exit status %d:\n%s%s", r.status, r.stdout, r.stderr)
			}
			if bad := strings.IndexFunc(r.stderr, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }); bad >= 0 {
				t.Errorf("it moves a terminal: %q", r.stderr)
			}
			if strings.Contains(r.stderr, "\n##") || len(r.stderr) > 64<<10 {
				t.Errorf("it fills the log, or makes lines of its own: %d bytes", len(r.stderr))
			}
			lower := strings.ToLower(r.stderr)
			for _, part := range strings.Split(idToken("x"), ".")[1:] {
				if strings.Contains(lower, strings.ToLower(part)) {
					t.Errorf("the ID token is in the log:\n%s", r.stderr)
				}
			}
			if entries, _ := filepath.Glob(filepath.Join(dir, "[^.]*")); len(entries) > 0 {
				t.Errorf("written: %v", entries)
			}
			if sets, _ := filepath.Glob(filepath.Join(dir, ".gatepass", "set-*")); len(sets) > 0 {
				t.Errorf("written: %v", sets)
			}
		})
	}
}

// What a service says beside credentials that are right is printed, in every format, and in
// files, as text that does nothing.
func TestUglyTextsOfAService(t *testing.T) {
	s := newService(t, false)
	hostileGrants["ugly texts"] = func(r *api.JoinResponse, request api.JoinRequest) {
		r.JoinID, r.Bot, r.TTLLimitedBy = ugly+request.IDToken, ugly+request.IDToken, "role:"+ugly+request.IDToken
	}
	defer delete(hostileGrants, "ugly texts")
	for _, format := range []string{"text", "json", "yaml"} {
		s.setFaults("+ugly texts")
		dir := filepath.Join(t.TempDir(), "id")
		r := gatepass(t, inBitbucket, joinArgs(s, dir, "--report="+format)...)
		if r.status != 0 || strings.Contains(r.stdout, "\n##") {
			t.Errorf("%s: exit status %d:\n%s%s", format, r.status, r.stdout, r.stderr)
		}
		if bad := strings.IndexFunc(r.stdout+r.stderr, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }); bad >= 0 {
			t.Errorf("%s moves a terminal: %q", format, r.stdout)
		}
		manifest, err := os.ReadFile(filepath.Join(dir, ".gatepass.json"))
		if err != nil || !json.Valid(manifest) || bytes.ContainsAny(manifest, "\x1b\u0090\u202e") {
			t.Errorf("the manifest: %v %q", err, manifest)
		}
	}
}
