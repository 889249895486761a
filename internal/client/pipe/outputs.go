package pipe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client"
	"github.com/gatepass-ci/gatepass/internal/client/credentials"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Activate is the script that tells the lines after the pipe where everything is.
const Activate = "activate"

// MakeOutputs makes what OUTPUT asks for, each with a folder of its own in the destination.
func (p *Plan) MakeOutputs(problems *Problems) []*credentials.Output {
	known := false
	taken := map[string]bool{Activate: true}
	var outputs []*credentials.Output
	for _, text := range p.Files.Outputs {
		w, err := credentials.ParseWish(text, Output, "database,username=app,database=orders")
		if err == nil {
			known = known || w.Has("known-hosts")
			err = p.place(w, taken)
		}
		var made *credentials.Output
		if err == nil {
			made, err = w.Output()
		}
		if err != nil {
			problems.AddError(Output, err)
			continue
		}
		outputs = append(outputs, made)
	}
	if p.KnownHosts != "" && !known {
		problems.Add(Known, "'%s: identity' is required with it: no other output knows hosts", Output)
	}
	return outputs
}

// place sets what of an output is the pipe's to say.
func (p *Plan) place(w *credentials.Wish, taken map[string]bool) error {
	for _, option := range []string{"owner", "exec-plugin"} {
		if w.Given(option) {
			return cli.Misused("%s has no meaning for an output of the pipe", option).
				Hint("leave it out; OUTPUT_OWNER is for all outputs, and the program gatepass is not there when the pipe has ended")
		}
	}
	for _, option := range w.Kind.Options {
		if !option.File || !w.Given(option.Name) || w.Text(option.Name) == credentials.SystemCAs {
			continue
		}
		if err := p.input(w.Text(option.Name)); err != nil {
			return cli.Misused("%s: %w", option.Name, err)
		}
	}
	folder, err := folderOf(w, taken)
	if err != nil {
		return err
	}
	taken[folder] = true
	if !w.Given("roles") {
		if err := w.SetRoles(p.Roles); err != nil {
			return err
		}
	}
	settings := map[string]string{"destination": filepath.Join(p.Files.Destination, folder), "owner": p.Files.Owner}
	if w.Has("known-hosts") && !w.Given("known-hosts") {
		settings["known-hosts"] = p.KnownHosts
	}
	for option, value := range settings {
		if err := w.Set(option, value); err != nil {
			return err
		}
	}
	return nil
}

// folderOf is the name of an output's folder: the one it asks for, or one of its kind's.
func folderOf(w *credentials.Wish, taken map[string]bool) (string, error) {
	name := w.Text("destination")
	if name == "" {
		name = w.Kind.Name
		for i := 2; taken[name]; i++ {
			name = fmt.Sprintf("%s-%d", w.Kind.Name, i)
		}
	}
	if filepath.Base(name) != name || strings.HasPrefix(name, ".") || taken[name] {
		return "", cli.Misused("destination=%s is no name of a folder in DESTINATION, or another output has it", words.Clean(name)).
			Hint("write a plain name, such as destination=orders-db")
	}
	return name, nil
}

// input checks a file that a setting of an output names. What is in the clone leads
// nowhere else by a link, as with the variables that name files; a path outside is the
// pipe's own container.
func (p *Plan) input(name string) error {
	root, err := os.OpenRoot(p.Clone)
	if err != nil {
		return err
	}
	defer root.Close()
	below, ok := clone{path: p.Clone, workdir: p.Workdir}.below(name)
	if !ok {
		return nil
	}
	if info, err := root.Stat(below); err != nil {
		return fmt.Errorf("%s: %s", name, cause(err))
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", name)
	}
	return nil
}

// Activation is the script Activate: plain assignments, each exported. Nothing in it is secret.
func Activation(report *client.Report) []byte {
	environ := credentials.NewEnviron(nil)
	environ.SetJoin(report.JoinID, report.Bot, report.ExpiresAt)
	for _, out := range report.Outputs {
		environ.SetOutput(out.Type, out.Destination, out.Variables)
		if out.Type == credentials.TypeIdentity {
			environ.SetSSHFiles(out.Destination)
		}
	}
	return environ.Script("Written by gatepass; replaced by the next join. Use: . FILE")
}
