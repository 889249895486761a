package attack

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// message is a request as it is sent, by its first line, its fields and its body.
func message(line, body string, fields ...string) string {
	return line + "\r\n" + strings.Join(append([]string{"Host: join.example.com", "Connection: close"}, fields...), "\r\n") + "\r\n\r\n" + body
}

func length(body string) string { return fmt.Sprintf("Content-Length: %d", len(body)) }

const (
	post  = "POST /v1/join HTTP/1.1"
	typed = "Content-Type: application/json"
)

var statuses = regexp.MustCompile(`(?m)^HTTP/1\.[01] (\d{3}) `)

// Requests that are not what they seem: each comes to what is written beside it, and none of them to a join.
func TestHTTPTricks(t *testing.T) {
	w := newTarget(t, worldtest.ServeOptions{})
	valid := string(w.request(t))
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(valid), valid)
	for name, c := range map[string]struct{ text, want string }{
		// The body's length.
		"chunked":                    {message(post, chunked, typed, "Transfer-Encoding: chunked"), "400"},
		"chunked with a length":      {message(post, chunked, typed, "Transfer-Encoding: chunked", length(valid)), "400"},
		"a length and then chunked":  {message(post, chunked, typed, length(valid), "Transfer-Encoding: chunked"), "400"},
		"chunked in capitals":        {message(post, chunked, typed, "Transfer-Encoding: CHUNKED"), "400"},
		"chunked twice":              {message(post, chunked, typed, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), "501"},
		"chunked and identity":       {message(post, chunked, typed, "Transfer-Encoding: identity, chunked"), "501"},
		"chunked after a tab":        {message(post, chunked, typed, "Transfer-Encoding:\tchunked", length(valid)), "400"},
		"chunked behind a space":     {message(post, chunked, typed, "Transfer-Encoding : chunked", length(valid)), "400"},
		"gzip":                       {message(post, chunked, typed, "Transfer-Encoding: gzip"), "501"},
		"an unknown encoding":        {message(post, chunked, typed, "Transfer-Encoding: xchunked", length(valid)), "501"},
		"chunked in HTTP/1.0":        {message("POST /v1/join HTTP/1.0", chunked, typed, "Transfer-Encoding: chunked"), "400"},
		"two lengths":                {message(post, valid, typed, length(valid), "Content-Length: 5"), "400"},
		"a negative length":          {message(post, valid, typed, "Content-Length: -5"), "400"},
		"a length with a plus":       {message(post, valid, typed, "Content-Length: +5"), "400"},
		"a length in hexadecimal":    {message(post, valid, typed, "Content-Length: 0x5"), "400"},
		"an endless length":          {message(post, valid, typed, "Content-Length: 99999999999999999999"), "400"},
		"a length with a comma":      {message(post, valid, typed, "Content-Length: 5, 5"), "400"},
		"no length":                  {message(post, valid, typed), "400"},
		"a length that is too short": {message(post, valid, typed, "Content-Length: 20"), "400"},
		"more than is taken":         {message(post, strings.Repeat(" ", 65537)+valid, typed, length(strings.Repeat(" ", 65537)+valid)), "413"},
		"a GET with a body":          {message("GET /healthz HTTP/1.1", chunked, "Transfer-Encoding: chunked"), "400"},
		// The first line and the header.
		"another method":              {message("PUT /v1/join HTTP/1.1", valid, typed, length(valid)), "405"},
		"a method in small letters":   {message("post /v1/join HTTP/1.1", valid, typed, length(valid)), "405"},
		"a method by a field":         {message("GET /v1/join HTTP/1.1", valid, typed, length(valid), "X-HTTP-Method-Override: POST"), "405"},
		"TRACE":                       {message("TRACE /v1/join HTTP/1.1", ""), "405"},
		"CONNECT":                     {message("CONNECT internal.example.com:443 HTTP/1.1", ""), "404"},
		"OPTIONS *":                   {message("OPTIONS * HTTP/1.1", ""), "404"},
		"an escaped slash":            {message("POST /v1%2fjoin HTTP/1.1", valid, typed, length(valid)), "404"},
		"an escaped letter":           {message("POST /%761/join HTTP/1.1", valid, typed, length(valid)), "404"},
		"an escape that is none":      {message("POST /v1/join%zz HTTP/1.1", valid, typed, length(valid)), "400"},
		"an escaped NUL":              {message("POST /v1/join%00 HTTP/1.1", valid, typed, length(valid)), "404"},
		"two slashes":                 {message("POST //v1/join HTTP/1.1", valid, typed, length(valid)), "404"},
		"a way up":                    {message("POST /x/../v1/join HTTP/1.1", valid, typed, length(valid)), "404"},
		"a slash at the end":          {message("POST /v1/join/ HTTP/1.1", valid, typed, length(valid)), "404"},
		"a path parameter":            {message("POST /v1/join;x=y HTTP/1.1", valid, typed, length(valid)), "404"},
		"no slash":                    {message("POST v1/join HTTP/1.1", valid, typed, length(valid)), "400"},
		"HTTP/0.9":                    {"GET /v1/join\r\n\r\n", "400"},
		"HTTP/3.0":                    {message("POST /v1/join HTTP/3.0", valid, typed, length(valid)), "505"},
		"no Host":                     {post + "\r\nConnection: close\r\n" + typed + "\r\n" + length(valid) + "\r\n\r\n" + valid, "400"},
		"two Hosts":                   {message(post, valid, typed, length(valid), "Host: evil.example.com"), "400"},
		"a Host that is none":         {strings.Replace(message(post, valid, typed, length(valid)), "join.example.com", "a b", 1), "400"},
		"a field with a NUL":          {message(post, valid, typed, length(valid), "X: a\x00b"), "400"},
		"a field without a name":      {message(post, valid, typed, length(valid), ": x"), "400"},
		"a field with a space":        {message(post, valid, typed, length(valid), "X Y: z"), "400"},
		"a folded field":              {message(post, valid, "X: a\r\n b", "Content-Type: text/plain", length(valid)), "400|415"},
		"a line that is no field":     {message(post, valid, typed, "nonsense", length(valid)), "400"},
		"too long a header":           {message(post, valid, typed, length(valid), "X: "+strings.Repeat("x", 20<<10)), "431"},
		"too long a path":             {message("POST /"+strings.Repeat("x", 20<<10)+" HTTP/1.1", valid, typed, length(valid)), "431"},
		"an upgrade to HTTP/2":        {message("POST /v1/join HTTP/1.1", "{}", typed, "Content-Length: 2", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), "400"},
		"an expectation that is none": {message(post, valid, typed, length(valid), "Expect: 200-ok"), "417"},
		"no type":                     {message(post, valid, length(valid)), "415"},
		"two types":                   {message(post, valid, "Content-Type: text/plain", typed, length(valid)), "415"},
		"a compressed body":           {message(post, valid, typed, "Content-Encoding: gzip", length(valid)), "415"},
		"another charset":             {message(post, valid, "Content-Type: application/json; charset=utf-16", length(valid)), "415"},
		"TLS in the clear":            {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 500) + "\r\n\r\n", "400"},
	} {
		t.Run(name, func(t *testing.T) { w.answers(t, c.text, c.want) })
	}
	if n := strings.Count(w.Serve.Log(), `"code":"ok"`); n != 0 {
		t.Errorf("%d of them joined", n)
	}
	w.join(t, honest, 1)
}

// answers checks the status of the only answer to a message; want may have several, with | between them.
func (w *target) answers(t *testing.T, text, want string) {
	t.Helper()
	got := exchange(t, w, text)
	all := statuses.FindAllStringSubmatch(got, -1)
	if len(all) != 1 || !strings.Contains("|"+want+"|", "|"+all[0][1]+"|") {
		t.Errorf("want %s, answered %q", want, got)
	}
}

// Bodies that readers of JSON read differently are not read at all.
func TestJSONTricks(t *testing.T) {
	w := newTarget(t, worldtest.ServeOptions{})
	valid := string(w.request(t))
	var req map[string]json.RawMessage
	must(t, json.Unmarshal([]byte(valid), &req))
	begins := func(text string) string { return "{" + text + "," + valid[1:] }
	for name, body := range map[string]string{
		"nothing":                     "",
		"null":                        "null",
		"a text":                      `"token"`,
		"a number":                    "1e999999",
		"an array of requests":        "[" + valid + "]",
		"two requests":                valid + valid,
		"something behind":            valid + "x",
		"a NUL behind":                valid + "\x00",
		"a byte order mark":           "\ufeff" + valid,
		"UTF-16":                      "\xff\xfe{\x00}\x00",
		"no UTF-8":                    strings.Replace(valid, "bitbucket", "bit\xffbucket", 1),
		"half a surrogate":            strings.Replace(valid, "bitbucket", `bit\ud800bucket`, 1),
		"a NUL in a text":             strings.Replace(valid, "bitbucket", "bit\x00bucket", 1),
		"an escaped NUL":              strings.Replace(valid, "bitbucket", `bit\u0000bucket`, 1),
		"a line break":                strings.Replace(valid, "bitbucket", "bit\nbucket", 1),
		"a name twice":                begins(`"token":"another"`),
		"a name twice, once escaped":  begins(`"\u0074oken":"another"`),
		"a name in capitals":          begins(`"TOKEN":"another"`),
		"an unknown name":             begins(`"admin":true`),
		"a prototype":                 begins(`"__proto__":{}`),
		"a comment":                   "/* */" + valid,
		"a comma at the end":          strings.TrimSuffix(valid, "}") + ",}",
		"single quotes":               "{'token':'bitbucket'}",
		"ten thousand arrays":         strings.Repeat("[", 10000) + strings.Repeat("]", 10000),
		"ten thousand objects":        strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000),
		"deep inside a field":         begins(`"client":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000)),
		"a text for a number":         begins(`"ttl_seconds":"60"`),
		"a fraction":                  begins(`"ttl_seconds":60.5`),
		"a number without end":        begins(`"ttl_seconds":1e400`),
		"a number that runs over":     begins(`"ttl_seconds":9223372036854775808`),
		"not a number":                begins(`"ttl_seconds":NaN`),
		"an ID token in another name": strings.Replace(valid, `"bitbucket"`, string(req["id_token"][:200])+`"`, 1),
		"a list for a text":           strings.Replace(valid, `"bitbucket"`, `["bitbucket"]`, 1),
	} {
		t.Run(name, func(t *testing.T) { w.answers(t, message(post, body, typed, length(body)), "400") })
	}
	if log := w.Serve.Log(); strings.Contains(log, `"code":"ok"`) || strings.Contains(log, "eyJ") {
		t.Errorf("one of them joined, or the log has an ID token:\n%s", log)
	}
	w.join(t, honest, 1)
}

// Requests behind one another on one connection are each answered by themselves.
func TestPipelinedRequests(t *testing.T) {
	w := newTarget(t, worldtest.ServeOptions{})
	open := strings.ReplaceAll(message("GET /healthz HTTP/1.1", ""), "Connection: close\r\n", "")
	body := string(w.request(t))
	got := exchange(t, w, open+strings.ReplaceAll(message(post, body, typed, length(body)), "Connection: close\r\n", "")+message("GET /v1/nothing HTTP/1.1", ""))
	if all := fmt.Sprint(statuses.FindAllString(got, -1)); all != "[HTTP/1.1 200  HTTP/1.1 200  HTTP/1.1 404 ]" {
		t.Errorf("answered %s: %q", all, got)
	}
	smuggled := message(post, "0\r\n\r\nGET /v1/authorities HTTP/1.1\r\nHost: a\r\n\r\n", typed, "Transfer-Encoding: chunked", "Content-Length: 5")
	w.answers(t, strings.ReplaceAll(smuggled, "Connection: close\r\n", ""), "400")
}
