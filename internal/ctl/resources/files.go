package resources

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// readResources parses every file whole before anything is done with it. Without
// resources in them it is an error.
func (c *commands) readResources(files []string) ([]rules.Resource, error) {
	documents, err := c.readDocuments(files, false)
	return resourcesOf(documents), err
}

// readDocuments is the same with where each resource stands.
func (c *commands) readDocuments(files []string, mayBeEmpty bool) ([]rules.Document, error) {
	paths, err := expand(files, mayBeEmpty)
	if err != nil {
		return nil, err
	}
	var all []rules.Document
	var faults []string
	for _, path := range paths {
		documents, err := c.readFile(path)
		if parse, ok := errors.AsType[rules.Errors](err); ok {
			for _, e := range parse {
				faults = append(faults, e.Error())
			}
		} else if err != nil {
			return nil, err
		}
		all = append(all, documents...)
	}
	faults = append(faults, duplicates(all)...)
	if len(faults) > 0 {
		return nil, cli.Failed("%s", strings.Join(faults, "\n")).Hint("mend the lines above; nothing was stored. The language is in docs/rules.md")
	}
	if len(all) == 0 && !mayBeEmpty {
		return nil, cli.Failed("%s: no resources in it", strings.Join(files, ", ")).Hint("write resources as docs/rules.md shows")
	}
	return all, nil
}

func (c *commands) readFile(path string) ([]rules.Document, error) {
	data, err := c.ReadInput(path)
	if err != nil {
		return nil, err
	}
	if path == "-" {
		path = "standard input"
	}
	documents, warnings, err := rules.Parse(path, data)
	for _, w := range warnings {
		fmt.Fprintf(c.Err, "warning: %s\n", w)
	}
	return documents, err
}

// duplicates names each resource that is there more than once, and where.
func duplicates(all []rules.Document) []string {
	places := map[string][]string{}
	var order []string
	for _, d := range all {
		id := string(d.Resource.Kind()) + "/" + d.Resource.Name()
		if places[id] = append(places[id], fmt.Sprintf("%s:%d", d.File, d.Line)); len(places[id]) == 2 {
			order = append(order, id)
		}
	}
	var faults []string
	for _, id := range order {
		faults = append(faults, fmt.Sprintf("%s is there %d times, in %s: keep one of them", id, len(places[id]), strings.Join(places[id], " and ")))
	}
	return faults
}

func resourcesOf(documents []rules.Document) []rules.Resource {
	resources := make([]rules.Resource, len(documents))
	for i, d := range documents {
		resources[i] = d.Resource
	}
	return resources
}

// expand returns the files that are meant, each once, those of a directory by name. A
// directory without any is an error unless it may be empty: it is a wrong one.
func expand(names []string, mayBeEmpty bool) ([]string, error) {
	var paths []string
	for _, name := range names {
		if name == "-" {
			paths = append(paths, name)
			continue
		}
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, cli.Failed("%s does not exist", name).Hint("check the path")
		}
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			paths = append(paths, filepath.Clean(name))
			continue
		}
		below, err := resourceFiles(name + string(filepath.Separator)) // also of what a link leads to
		if err != nil {
			return nil, err
		}
		if len(below) == 0 && !mayBeEmpty {
			return nil, cli.Failed("%s has no .yaml, .yml or .json file in it or below it", name).Hint("check the path")
		}
		paths = append(paths, below...)
	}
	return once(paths), nil
}

// resourceFiles returns the resource files of a directory and all below it.
// Hidden ones are left out: .git and .circleci hold no resources. A link to another
// directory is refused: links can go round in circles, and passing over what it
// leads to would have --prune remove that.
func resourceFiles(dir string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && path != dir {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		info, err := os.Stat(path) // of what a link leads to
		switch resources := slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)); {
		case err == nil && info.IsDir():
			return cli.Failed("%s is a link to a directory", path).Hint("give what it leads to with a -f of its own, and remove the link")
		case !resources:
			return nil
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return cli.Failed("%s is no file", path).Hint("remove it, or give the files one by one")
		}
		paths = append(paths, path)
		return nil
	})
	return paths, err
}

// once leaves out what was there before.
func once(paths []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(paths, func(path string) bool {
		again := seen[path]
		seen[path] = true
		return again
	})
}
