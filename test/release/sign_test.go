package release

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// signed is a small release in a clean checkout of its tag, signed by tools/release.sh with
// keys that minisign and openssl made.
type signed struct {
	root, dist, keys string
	env              []string
}

func newSigned(t *testing.T) *signed {
	t.Helper()
	for _, program := range []string{"git", "jq", "sha256sum", "openssl", "minisign"} {
		worldtest.Need(t, program)
	}
	source, err := worldtest.Root()
	worldtest.Must(t, err)
	s := &signed{root: t.TempDir(), keys: t.TempDir()}
	s.dist = filepath.Join(s.root, "dist")
	for _, name := range []string{"tools/release.sh", "go.mod"} {
		raw, err := os.ReadFile(filepath.Join(source, name))
		worldtest.Must(t, err)
		worldtest.Must(t, os.MkdirAll(filepath.Join(s.root, filepath.Dir(name)), 0o755))
		worldtest.Must(t, os.WriteFile(filepath.Join(s.root, name), raw, 0o755))
	}
	worldtest.Write(t, s.root, ".gitignore", "dist\n")
	s.git(t, "init", "-q")
	s.git(t, "add", ".")
	s.git(t, "commit", "-q", "-m", "a release")
	s.git(t, "tag", "v"+version)
	worldtest.Must(t, os.Mkdir(s.dist, 0o755))
	for _, name := range []string{client("linux/amd64"), client("linux/arm64"), "orb.yml"} {
		worldtest.Write(t, s.dist, name, name)
	}

	// Keys as the ceremony makes them, but that minisign's has no passphrase: with one it takes
	// a GiB of memory.
	s.sh(t, s.keys, `printf 'correct horse\n' >passphrase
		minisign -G -W -p minisign.pub -s minisign.key >/dev/null
		openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes-256-cbc -pass file:passphrase -out cosign.key
		openssl pkey -in cosign.key -passin file:passphrase -pubout -out cosign.pub`)
	s.env = append(os.Environ(), "RELEASE_MINISIGN_KEY="+s.keys+"/minisign.key", "RELEASE_ECDSA_KEY="+s.keys+"/cosign.key", "RELEASE_PASSPHRASE_FILE="+s.keys+"/passphrase")
	return s
}

func (s *signed) git(t *testing.T, args ...string) {
	t.Helper()
	worldtest.Output(t, "git", append([]string{"-C", s.root, "-c", "user.name=a", "-c", "user.email=a@localhost"}, args...)...)
}

func (s *signed) sh(t *testing.T, dir, script string) string {
	t.Helper()
	return worldtest.Output(t, "bash", "-euo", "pipefail", "-c", `cd "$0"; `+script, dir)
}

// script runs a part of tools/release.sh with the keys.
func (s *signed) script(t *testing.T, args ...string) worldtest.Ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(s.root, "tools/release.sh"), args...)
	cmd.Env = s.env
	return worldtest.Run(t, cmd)
}

func (s *signed) verify(t *testing.T, args ...string) worldtest.Ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), worldtest.Binary(t, "gatepassctl"), append([]string{"verify"}, args...)...)
	cmd.Dir = s.dist
	return worldtest.Run(t, cmd)
}

// A release is signed by one script, and verified by gatepassctl, and by minisign and openssl,
// which know nothing of Gatepass.
func TestSignedReleases(t *testing.T) {
	s := newSigned(t)
	for _, args := range [][]string{{"provenance", s.dist, version}, {"sums", s.dist}, {"sign", s.dist, version}} {
		if ran := s.script(t, args...); ran.Status != 0 {
			t.Fatalf("%q: %+v", args, ran)
		}
	}
	keys := []string{"--key", s.keys + "/minisign.pub", "--key", s.keys + "/cosign.pub"}
	file := client("linux/amd64")

	t.Run("gatepassctl", func(t *testing.T) {
		commit := strings.TrimSpace(worldtest.Output(t, "git", "-C", s.root, "rev-parse", "HEAD"))
		ran := s.verify(t, append(keys, file, "orb.yml", "--tag", "v"+version)...)
		if want := file + " is of release v" + version + ", built from commit " + commit + "\n"; ran.Status != 0 || !strings.HasPrefix(ran.Stdout, want) {
			t.Errorf("%+v, and not %q", ran, want)
		}
		var files []struct{ File, SHA256, Tag, Commit string }
		ran = s.verify(t, append(keys, file, "--format", "json")...)
		if err := json.Unmarshal([]byte(ran.Stdout), &files); err != nil || len(files) != 1 || files[0].File != file || files[0].Commit != commit {
			t.Errorf("%+v, %v", ran, err)
		}
	})
	t.Run("minisign", func(t *testing.T) {
		out := s.sh(t, s.dist, `minisign -V -p "`+s.keys+`/minisign.pub" -m SHA256SUMS; sha256sum --check --strict SHA256SUMS`)
		if !strings.Contains(out, "Trusted comment: gatepass v"+version) || strings.Count(out, ": OK\n") != 4 {
			t.Error(out)
		}
	})
	t.Run("openssl", func(t *testing.T) {
		s.sh(t, s.dist, `openssl base64 -d -A -in SHA256SUMS.sig -out sig; openssl dgst -sha256 -verify "`+s.keys+`/cosign.pub" -signature sig SHA256SUMS; rm sig`)
	})
	t.Run("the statement", func(t *testing.T) { checkStatement(t, s) })
	t.Run("refused", func(t *testing.T) { checkRefused(t, s, keys, file) })
	t.Run("only a tag", func(t *testing.T) { checkOnlyATag(t, s) })
	t.Run("no passphrase in arguments", func(t *testing.T) {
		script, err := os.ReadFile(filepath.Join(s.root, "tools/release.sh"))
		worldtest.Must(t, err)
		if strings.Contains(string(script), "pass:") || strings.Contains(string(script), "cat \"$RELEASE_PASSPHRASE_FILE") {
			t.Error("tools/release.sh hands a passphrase on in arguments")
		}
	})
}

// statement has every field that the schemas know, and no other:
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md,
// https://slsa.dev/spec/v1.0/provenance#schema.
type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     struct {
		BuildDefinition struct {
			BuildType            string         `json:"buildType"`
			ExternalParameters   map[string]any `json:"externalParameters"`
			InternalParameters   map[string]any `json:"internalParameters"`
			ResolvedDependencies []resource     `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
		RunDetails struct {
			Builder struct {
				ID                  string            `json:"id"`
				BuilderDependencies []resource        `json:"builderDependencies"`
				Version             map[string]string `json:"version"`
			} `json:"builder"`
			Metadata struct {
				InvocationID string `json:"invocationId"`
				StartedOn    string `json:"startedOn"`
				FinishedOn   string `json:"finishedOn"`
			} `json:"metadata"`
			Byproducts []resource `json:"byproducts"`
		} `json:"runDetails"`
	} `json:"predicate"`
}

type resource struct {
	Name             string            `json:"name"`
	URI              string            `json:"uri"`
	Digest           map[string]string `json:"digest"`
	Content          string            `json:"content"`
	DownloadLocation string            `json:"downloadLocation"`
	MediaType        string            `json:"mediaType"`
	Annotations      map[string]any    `json:"annotations"`
}

// checkStatement compares the signed statement with the schema of SLSA provenance.
func checkStatement(t *testing.T, s *signed) {
	var envelope struct{ Payload string }
	raw, err := os.ReadFile(filepath.Join(s.dist, "provenance.intoto.jsonl"))
	worldtest.Must(t, err)
	worldtest.Must(t, json.Unmarshal(raw, &envelope))
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	worldtest.Must(t, err)
	plain, err := os.ReadFile(filepath.Join(s.dist, "provenance.json"))
	worldtest.Must(t, err)
	if string(payload) != string(plain) {
		t.Error("what is signed is not provenance.json")
	}
	var statement statement
	decoder := json.NewDecoder(strings.NewReader(string(plain)))
	decoder.DisallowUnknownFields()
	worldtest.Must(t, decoder.Decode(&statement))
	if len(statement.Subject) != 3 || statement.Predicate.BuildDefinition.ExternalParameters == nil {
		t.Errorf("it has %d subjects, and what SLSA requires is missing:\n%s", len(statement.Subject), plain)
	}
	for _, r := range append(statement.Subject, statement.Predicate.BuildDefinition.ResolvedDependencies...) {
		if r.URI == "" && len(r.Digest) == 0 && r.Content == "" {
			t.Errorf("%q is no ResourceDescriptor: it has neither uri, digest nor content", r.Name)
		}
	}
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	docs, err := os.ReadFile(filepath.Join(root, "docs/release.md"))
	worldtest.Must(t, err)
	for _, address := range []string{statement.Predicate.BuildDefinition.BuildType, statement.Predicate.RunDetails.Builder.ID} {
		_, anchor, _ := strings.Cut(address, "/docs/release.md#")
		if anchor == "" || !strings.Contains(strings.ToLower(string(docs)), "\n## "+anchor+"\n") {
			t.Errorf("%s: docs/release.md has no such section", address)
		}
	}
}

// checkRefused changes what stands beside a file, or asks for something else.
func checkRefused(t *testing.T, s *signed, keys []string, file string) {
	for _, test := range []struct {
		name, change, want string
		args               []string
	}{
		{"without keys", ":", "has no public keys of releases", []string{file}},
		{"one key", ":", "a release is verified by both kinds", append(keys[:2:2], file)},
		{"a private key", ":", "this is a private key", []string{"--key", s.keys + "/cosign.key", file}},
		{"another release", ":", "is of release v9.9.9, and not of v9.9.8", append(keys[:4:4], "--tag", "v9.9.8", file)},
		{"a changed file", "echo >>" + file, "NOT verified: its SHA-256 is", append(keys[:4:4], "orb.yml", file)},
		{"another file of the list", "cp orb.yml " + file, "NOT verified: its SHA-256 is", append(keys[:4:4], file)},
		{"a file that is not listed", "echo >more", `has no file "more"`, append(keys[:4:4], "more")},
		{"a changed list", "sed -i s/orb/other/ SHA256SUMS", "SHA256SUMS.minisig: no public key", append(keys[:4:4], file)},
		{"no provenance", "rm provenance.intoto.jsonl", "provenance.intoto.jsonl does not exist", append(keys[:4:4], file)},
		{"a huge list", "truncate -s 1T SHA256SUMS", "at most 65536 are read", append(keys[:4:4], file)},
		{"a huge file", "truncate -s 1T " + file, "at most 1073741824 are read", append(keys[:4:4], file)},
		{"a pipe", "rm " + file + "; mkfifo " + file, "is not a regular file", append(keys[:4:4], file)},
		{"a folder", "mkdir folder", "is not a regular file", append(keys[:4:4], "folder")},
		{"no file", "rm " + file, "does not exist", append(keys[:4:4], file)},
	} {
		t.Run(test.name, func(t *testing.T) {
			copied := *s
			copied.dist = filepath.Join(t.TempDir(), "dist")
			worldtest.Must(t, os.CopyFS(copied.dist, os.DirFS(s.dist)))
			s.sh(t, copied.dist, test.change)
			ran := copied.verify(t, test.args...)
			if ran.Status == 0 || ran.Stdout != "" || !strings.Contains(strings.Join(strings.Fields(ran.Stderr), " "), test.want) {
				t.Errorf("%+v, and not %q", ran, test.want)
			}
		})
	}
}

// checkOnlyATag holds that only a clean checkout of the tag has a provenance, and that
// nothing else is signed.
func checkOnlyATag(t *testing.T, s *signed) {
	sign := func(want string) {
		t.Helper()
		s.script(t, "provenance", s.dist, version)
		s.script(t, "sums", s.dist)
		ran := s.script(t, "sign", s.dist, version)
		if ran.Status == 0 || !strings.Contains(ran.Stderr, want) {
			t.Errorf("%+v, and not %q", ran, want)
		}
		for _, name := range []string{"SHA256SUMS.minisig", "SHA256SUMS.sig", "provenance.intoto.jsonl"} {
			if _, err := os.Stat(filepath.Join(s.dist, name)); err == nil {
				t.Errorf("there is a %s", name)
			}
		}
	}
	worldtest.Write(t, s.root, "more", "")
	sign("there is no provenance.json of v" + version)
	s.git(t, "add", ".")
	s.git(t, "commit", "-q", "-m", "more")
	sign("there is no provenance.json of v" + version)
	s.git(t, "tag", "-f", "v"+version)
	s.env = append(s.env, "RELEASE_ECDSA_KEY=")
	sign("RELEASE_ECDSA_KEY does not name the file of a private key")
}
