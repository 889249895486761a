package words_test

import (
	"os/exec"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/words"
)

func TestShell(t *testing.T) {
	for name, write := range map[string]func(string) string{"ShellWord": words.ShellWord, "ShellQuote": words.ShellQuote} {
		for _, word := range []string{"", "./gatepass-data", "my data", "it's", "$HOME; rm x", "$(x)", "a\nb", `\\"`, "~", "ü", "-x"} {
			out, err := exec.Command("sh", "-c", "printf %s "+write(word)).CombinedOutput()
			if err != nil || string(out) != word {
				t.Errorf("%s: %q is %s, which the shell takes for %q, %v", name, word, write(word), out, err)
			}
		}
	}
	if got, want := words.ShellLine([]string{"ssh", "-F", "./my id", "--flag=x"}), "ssh -F './my id' --flag=x"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := words.YAMLString("a \"<b>\"\n"), `"a \"<b>\"\n"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for word, want := range map[string]string{
		"/var/lib/gatepass-1": "/var/lib/gatepass-1", "/id/ssh_config": "/id/ssh_config", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "-x": "-x",
	} {
		if got := words.ShellWord(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
