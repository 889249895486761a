package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/jwks"
)

// organization is a CircleCI organization's token rule.
const organization = `---
kind: token
version: v2
metadata: {name: "org-%[1]d"}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: %[2]s
    issuer: %[3]s/org/%[2]s
    allow: [{project_id: 00000000-0000-0000-0000-000000000003}]
`

// refresh is keys refresh of many issuers, each with a document and a key set of its own URL.
// They share a server and a key.
func (b *bench) refresh() error {
	keys, err := b.issuer.JWKS()
	if err != nil {
		return err
	}
	issuers := httptest.NewUnstartedServer(manyIssuers(keys))
	issuers.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that were not needed after all
	issuers.StartTLS()
	defer issuers.Close()
	dir, err := os.MkdirTemp(b.dir, "refresh-")
	if err != nil {
		return err
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuers.Certificate().Raw}), 0o600); err != nil {
		return err
	}
	var all strings.Builder
	all.WriteString("kind: bot\nversion: v1\nmetadata: {name: example}\nspec: {roles: []}\n")
	for i := range b.size.issuers {
		fmt.Fprintf(&all, organization, i, fmt.Sprintf("00000000-0000-0000-0000-%012d", i), issuers.URL)
	}
	file := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	env := []string{jwks.EnvPrivateIssuers + "=" + issuers.Listener.Addr().String(), jwks.EnvIssuerCA + "=" + ca}
	server, err := b.start("refresh", "gatepassctl", "serve", "--data", data, "--listen", "127.0.0.1:0") // begins the store
	if err != nil {
		return err
	}
	server.stop()
	if err := b.ctl(env, "apply", "-f", file, "--data", data); err != nil {
		return err
	}
	cmd := b.command("gatepassctl", []string{"keys", "refresh", "--data", data}, env)
	began := time.Now()
	mib, err := watch(cmd)
	if err != nil {
		return err
	}
	elapsed, ended := time.Since(began), cmd.ProcessState
	name := fmt.Sprintf("keys refresh of %d issuers", b.size.issuers)
	b.table.add("refresh", name, elapsed.Seconds(), "s", nil)
	b.table.add("refresh", name+": CPU an issuer", ms(ended.UserTime()+ended.SystemTime())/float64(b.size.issuers), "ms", nil)
	b.table.add("refresh", name+": most memory", mib, "MiB", nil)
	return nil
}

// manyIssuers answers for every issuer below /org/.
func manyIssuers(keys []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /org/{id}/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		issuer := "https://" + r.Host + "/org/" + r.PathValue("id")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "jwks_uri": issuer + "/keys.json"})
	})
	mux.HandleFunc("GET /org/{id}/keys.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(keys)
	})
	return mux
}
