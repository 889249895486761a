package test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// pipeline is what the pages' bitbucket-pipelines.yml have. Any other field is an error:
// what is not carried out here has not been shown to work.
type pipeline struct {
	Pipelines struct {
		Default  []entry
		Branches map[string][]entry
	}
}

type entry struct {
	Step struct {
		Name        string
		Deployment  string
		OIDC        oidc
		Artifacts   []string
		Script      []line
		AfterScript []line `yaml:"after-script"`
	}
}

// oidc is true, or has audiences.
type oidc struct {
	on        bool
	audiences []string
}

func (o *oidc) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&o.on)
	}
	var with struct{ Audiences []string }
	o.on = true
	err := node.Decode(&with)
	o.audiences = with.Audiences
	return err
}

// line is a line of a script, or a pipe.
type line struct {
	command string
	pipe    string
	vars    variables
}

func (l *line) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&l.command)
	}
	var item struct {
		Pipe      string
		Variables map[string]yaml.Node
	}
	if err := node.Decode(&item); err != nil {
		return err
	}
	l.pipe, l.vars = item.Pipe, variables{}
	for name, value := range item.Variables {
		var list []string
		switch {
		case value.Kind == yaml.SequenceNode:
			if err := value.Decode(&list); err != nil {
				return err
			}
			l.vars[name] = list
		case value.Tag == "!!str":
			l.vars[name] = value.Value
		default:
			return fmt.Errorf("%s is a %s: Bitbucket takes strings and lists of strings", name, value.Tag)
		}
	}
	return nil
}

var (
	block       = regexp.MustCompile("(?ms)^```yaml\n# (\\S+)\n(.*?)^```$")
	environment = regexp.MustCompile(`deployment_environment_uuid: "(\{[0-9a-f-]+\})"`)
	pipeImage   = regexp.MustCompile(`(?m)^image: (\S+)$`)
)

// guide runs the samples of the guide and of the pipe's page, from the checkout on. What
// is translated is where the service, the releases and the hosts are: their names stay,
// their ports are those of this test.
func guide(t *testing.T, w *world) {
	about, err := os.ReadFile(filepath.Join(w.root, "ci/bitbucket-pipe/pipe.yml"))
	worldtest.Must(t, err)
	published := "docker://" + pipeImage.FindStringSubmatch(string(about))[1]
	checkVersion(t, w, published)
	ran, pipes := 0, 0
	for _, page := range []string{"docs/bitbucket.md", "ci/bitbucket-pipe/README.md"} {
		text, err := os.ReadFile(filepath.Join(w.root, page))
		worldtest.Must(t, err)
		uuid := ""
		if m := environment.FindSubmatch(text); m != nil {
			uuid = string(m[1])
		}
		for i, m := range block.FindAllStringSubmatch(string(text), -1) {
			switch m[1] {
			case "rules.yaml":
				w.Apply(m[2])
			case "bitbucket-pipelines.yml":
				t.Run(fmt.Sprint(page, " ", i), func(t *testing.T) {
					pipes += w.sample(t, m[2], published, uuid)
					ran++
				})
			}
		}
	}
	if ran < 7 || pipes < 5 {
		t.Errorf("only %d samples with %d pipes were run", ran, pipes)
	}
}

// checkVersion fails the test unless every page has the version of pipe.yml.
func checkVersion(t *testing.T, w *world, published string) {
	t.Helper()
	mentioned := regexp.MustCompile(`docker://gatepassci/gatepass-pipe:[0-9][0-9A-Za-z.-]*`)
	for _, page := range []string{"README.md", "docs/bitbucket.md", "ci/bitbucket-pipe/README.md"} {
		text, err := os.ReadFile(filepath.Join(w.root, page))
		worldtest.Must(t, err)
		all := mentioned.FindAllString(string(text), -1)
		if len(all) == 0 || slices.ContainsFunc(all, func(image string) bool { return image != published }) {
			t.Errorf("%s has %q, and pipe.yml says %s", page, all, published)
		}
	}
}

// sample runs all steps of a pipeline, the last of which must say hello world, and
// returns how many pipes it has.
func (w *world) sample(t *testing.T, text, published, deployment string) (pipes int) {
	t.Helper()
	var file pipeline
	decoder := yaml.NewDecoder(bytes.NewBufferString(text))
	decoder.KnownFields(true)
	worldtest.Must(t, decoder.Decode(&file))
	entries := slices.Concat(file.Pipelines.Default, file.Pipelines.Branches["main"])
	if len(entries) == 0 {
		t.Fatal("it has no step for main")
	}
	for i, e := range entries {
		job := issuertest.BitbucketJob{Audience: e.Step.OIDC.audiences}
		if e.Step.Deployment != "" {
			job.DeploymentEnvironmentUUID = deployment
		}
		if job.Audience == nil {
			job.Audience = []string{"ari:cloud:bitbucket::workspace/" + strings.Trim(issuertest.WorkspaceUUID, "{}")} // as of oidc: true
		}
		s := w.newStep(t, job)
		if !e.Step.OIDC.on {
			delete(s.env, "BITBUCKET_STEP_OIDC_TOKEN")
		}
		before := s.tree(t)
		r := s.lines(t, s.script(t, e.Step.Script, published)...).ok(t)
		if i == len(entries)-1 && !strings.Contains(r.log, "hello world\n") {
			t.Errorf("it does not say hello world:\n%s", r.log)
		}
		if len(e.Step.AfterScript) > 0 {
			s.lines(t, s.script(t, e.Step.AfterScript, published)...).ok(t, "emoved")
			worldtest.Must(t, os.RemoveAll(filepath.Join(s.clone, "gatepass")))
			s.unchanged(t, before)
		}
		for _, l := range slices.Concat(e.Step.Script, e.Step.AfterScript) {
			if l.pipe != "" {
				pipes++
			}
		}
	}
	return pipes
}

// script is what Bitbucket makes of a script: a shell's, in which a pipe is a container
// that is run.
func (s *step) script(t *testing.T, lines []line, published string) []string {
	t.Helper()
	client, err := os.ReadFile(worldtest.Binary(t, "gatepass"))
	worldtest.Must(t, err)
	s.env["GATEPASS_VERSION"], s.env["GATEPASS_SHA256"] = version, fmt.Sprintf("%x", sha256.Sum256(client))
	local := strings.NewReplacer("https://"+releases, s.w.releases, "https://"+join, s.w.server, join+":443", strings.TrimPrefix(s.w.server, "https://"))
	var script []string
	for _, l := range lines {
		if l.pipe == "" {
			script = append(script, local.Replace(l.command))
			continue
		}
		if l.pipe != published {
			t.Errorf("the pipe is %s, and pipe.yml says %s", l.pipe, published)
		}
		vars := l.vars.flatten()
		for name, value := range vars {
			vars[name] = os.Expand(value, func(name string) string {
				if value, ok := s.env[name]; ok {
					return value
				}
				return "$" + name
			})
		}
		if vars["SERVER"] != "" {
			vars["SERVER"] = local.Replace(vars["SERVER"])
		}
		if vars["SSH_HOST"]+vars["SSH_HOST_COUNT"] != "" {
			vars["SSH_PORT"] = s.w.port
		}
		var words []string
		for _, word := range s.podmanRun(cloneDir, sshDir, `"$PWD"`, vars) {
			if word != `"$PWD"` {
				word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
			}
			words = append(words, word)
		}
		script = append(script, strings.Join(words, " "))
	}
	return script
}
