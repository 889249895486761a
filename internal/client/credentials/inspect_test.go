package credentials

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"software.sslmate.com/src/go-pkcs12"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// material is one credential of each kind, by file name.
func material(t *testing.T) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	check(t, err)
	cert := &ssh.Certificate{
		Key: signer.PublicKey(), CertType: ssh.UserCert, KeyId: "gatepass:example:01J", Serial: 7, ValidPrincipals: []string{"deploy", "app"},
		ValidAfter: uint64(now.Add(-time.Minute).Unix()), ValidBefore: uint64(now.Add(30 * time.Second).Unix()),
		Permissions: ssh.Permissions{
			CriticalOptions: map[string]string{"force-command": "/bin/deploy"},
			Extensions:      map[string]string{"permit-pty": "", "login@github.com": "octo"},
		},
	}
	check(t, cert.SignCert(rand.Reader, signer))
	forever := *cert
	forever.CertType, forever.ValidBefore = ssh.HostCert, math.MaxUint64
	check(t, forever.SignCert(rand.Reader, signer))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: "example"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(-time.Second),
		URIs: []*url.URL{{Scheme: "spiffe", Host: "x", Path: "/bot/example"}}, DNSNames: []string{"a.example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	p8, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	sec1, err := x509.MarshalECPrivateKey(key)
	check(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	open, err := ssh.MarshalPrivateKey(edwards, "")
	check(t, err)
	segment := base64.RawURLEncoding.EncodeToString
	payload := fmt.Sprintf(`{"iss":"https://i","sub":"bot:example","aud":["v"],"jti":"j","iat":%d,"exp":%d}`, now.Unix()-60, now.Unix()+600)
	return map[string][]byte{
		"key-cert.pub": ssh.MarshalAuthorizedKey(cert),
		"host-cert":    ssh.MarshalAuthorizedKey(&forever),
		"key.pub":      ssh.MarshalAuthorizedKey(signer.PublicKey()),
		"tlscert":      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"key":          pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p8}),
		"sec1":         pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}),
		"openssh":      pem.EncodeToMemory(open),
		"jwt":          []byte(segment([]byte(`{"alg":"ES256"}`)) + "." + segment([]byte(payload)) + ".c2VjcmV0LXNpZ25hdHVyZQ"),
	}
}

func check(t *testing.T, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

func TestInspect(t *testing.T) {
	dir := t.TempDir()
	files := material(t)
	files["ssh_config"] = []byte("Host *\n")
	files["known_hosts"] = append([]byte("@cert-authority * "), files["key.pub"]...)
	for name, data := range files {
		check(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	check(t, os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling")))
	all, err := Inspect(dir, "", now)
	check(t, err)
	var text bytes.Buffer
	warnings := make(map[string]string)
	for i := range all {
		all[i].File = filepath.Base(all[i].File)
		all[i].Text(&text, false)
		warnings[all[i].File] = all[i].Warning()
	}
	for _, want := range []string{
		"key-cert.pub: ssh certificate\n", "key id       gatepass:example:01J", "principals   deploy, app", "serial       7\n",
		"extensions   login@github.com=octo, permit-pty", "critical     force-command=/bin/deploy", "30s left",
		"host-cert: ssh host certificate\n", "key.pub: public key\n",
		"tlscert: x509 certificate\n", "subject      CN=example", "names        URI:spiffe://x/bot/example, DNS:a.example", "serial       abc\n", "expired 1s ago",
		"key: private key\n", "sec1: private key\n", "openssh: private key\n", "ssh-ed25519",
		"jwt: jwt\n", "names        aud:v", "10m0s left",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q", want)
		}
	}
	if len(all) != 8 || t.Failed() {
		t.Errorf("%d credentials:\n%s", len(all), text.String())
	}
	for _, secret := range []string{"PRIVATE", "c2VjcmV0"} {
		if strings.Contains(text.String(), secret) {
			t.Errorf("%q is in the text", secret)
		}
	}
	for file, want := range map[string]string{"key-cert.pub": "expires in 30s", "tlscert": "expired 1s ago", "jwt": "", "key": ""} {
		if got := warnings[file]; want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: warning %q, want %q", file, got, want)
		}
	}
}

func TestInspectOfNoCredential(t *testing.T) {
	dir := t.TempDir()
	broken := map[string]string{
		"empty":     "",
		"text":      "hello there\n",
		"cut":       "-----BEGIN CERTIFICATE-----\nMIIB",
		"damaged":   "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"badkey":    "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
		"other":     "-----BEGIN PARAMETERS-----\nAAAA\n-----END PARAMETERS-----\n",
		"dots":      "1.2.3",
		"trailing":  "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nrubbish",
		"authority": "@cert-authority * ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
	}
	for name, content := range broken {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, []byte(content), 0o600))
		if found, err := Inspect(path, "", now); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: %+v %v", name, found, err)
		}
	}
	for _, path := range []string{filepath.Join(dir, "missing"), t.TempDir()} {
		if _, err := Inspect(path, "", now); err == nil {
			t.Errorf("%s was accepted", path)
		}
	}
}

func FuzzBytes(f *testing.F) {
	if seeds, _ := filepath.Glob("testdata/fuzz/FuzzBytes/*"); len(seeds) == 0 {
		f.Fatal("no committed seeds")
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		isPKCS12(raw) // what it accepts takes a password, and is not for here
		found, err := Bytes(raw)
		if err == nil && len(found) == 0 {
			t.Error("neither a credential nor an error")
		}
		for i := range found {
			found[i].remaining(now)
			var text bytes.Buffer
			found[i].Text(&text, false)
			if bytes.ContainsRune(text.Bytes(), 0x1b) {
				t.Errorf("an escape sequence came through: %q", text.String())
			}
		}
	})
}

func TestPKCS12(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "app"}, NotBefore: now, NotAfter: now.Add(30 * time.Second)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	store, err := pkcs12.Modern2023.Encode(key, cert, []*x509.Certificate{cert}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "store.p12")
	password := filepath.Join(t.TempDir(), "password")
	for path, data := range map[string][]byte{file: store, password: []byte("secret\n"), password + ".wrong": []byte("other")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Inspect(file, "", now)
	if err != nil || len(found) != 1 || found[0].Kind != "pkcs12 file" || found[0].Note == "" {
		t.Errorf("without a password: %+v %v", found, err)
	}
	if _, err := Inspect(file, password+".wrong", now); err == nil || !strings.Contains(err.Error(), "another password") {
		t.Errorf("with another password: %v", err)
	}
	found, err = Inspect(file, password, now)
	if err != nil || len(found) != 3 || found[0].Kind != "private key" || found[1].Subject != "CN=app" || found[1].Warning() == "" {
		t.Errorf("with its password: %+v %v", found, err)
	}
	for name, raw := range map[string][]byte{"a certificate": der, "cut off": store[:len(store)-1], "more behind": append(store, 0), "nothing": nil} {
		if isPKCS12(raw) {
			t.Errorf("%s was taken for PKCS#12", name)
		}
	}
}

func TestKubeconfig(t *testing.T) {
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"bot:example","aud":"cluster","exp":1}`)) + ".c2ln"
	const head = "kind: Config\nclusters: [{cluster: {server: https://k}}]\n"
	for name, test := range map[string]struct {
		yaml  string
		kinds string // empty is an error
	}{
		"a token":                   {head + "users: [{user: {token: " + token + "}}]", "kubeconfig jwt"},
		"an opaque token":           {head + "users: [{user: {token: opaque}}]", "kubeconfig token"},
		"a plugin":                  {head + "users: [{user: {exec: {command: aws, args: [eks, get-token]}}}]", "kubeconfig"},
		"no users":                  {head, "kubeconfig"},
		"data that is not base64":   {head + "users: [{user: {client-certificate-data: '*'}}]", ""},
		"data that is no PEM":       {head + "users: [{user: {client-key-data: c2VjcmV0}}]", ""},
		"another kind":              {"kind: ConfigMap", ""},
		"not YAML":                  {"kind: Config\nusers: [", ""},
		"clusters that are no list": {"kind: Config\nclusters: x", ""},
	} {
		found, err := Bytes([]byte(test.yaml))
		var kinds []string
		for _, c := range found {
			kinds = append(kinds, c.Kind)
		}
		if got := strings.Join(kinds, " "); got != test.kinds || (err != nil) != (test.kinds == "") {
			t.Errorf("%s: %q %v, want %q", name, got, err, test.kinds)
		}
		if err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: the error shows the data: %v", name, err)
		}
		if name == "a plugin" && found[0].Plugin != "aws eks get-token" {
			t.Errorf("the plugin is %q", found[0].Plugin)
		}
	}
}

func TestColour(t *testing.T) {
	for seconds, want := range map[int64]string{-1: "\x1b[31m", 59: "\x1b[33m", 60: "\x1b[32m"} {
		until := now.Add(time.Duration(seconds) * time.Second)
		c := Credential{Kind: "jwt", ValidFrom: &now, ValidUntil: &until, RemainingSeconds: &seconds}
		var text bytes.Buffer
		c.Text(&text, true)
		if !strings.Contains(text.String(), want) {
			t.Errorf("%d seconds: %q", seconds, text.String())
		}
	}
}
