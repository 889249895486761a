package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// root is the file that a source folder must have.
const root = "@orb.yml"

// sections are the folders whose files become the entries of a key of the orb.
var sections = []string{"commands", "examples", "executors", "jobs"}

// An include stands for the text of a file; its path is relative to the source folder.
var include = regexp.MustCompile(`<<\s*include\(([-\w/.]+)\)\s*>>`)

// pack packs the orb in src. Files that replace has, by their paths in src, are
// included from there instead: what a release changes without a commit.
func pack(src fs.FS, replace map[string][]byte) ([]byte, error) {
	p := packer{src: src, replace: replace, unused: make(map[string]bool)}
	for name := range replace {
		p.unused[name] = true
	}
	orb, err := p.tree()
	if err != nil {
		return nil, err
	}
	for name := range p.unused {
		return nil, fmt.Errorf("%s: nothing includes it, so it cannot be replaced", name)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(4)
	if err := enc.Encode(orb); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

type packer struct {
	src     fs.FS
	replace map[string][]byte
	unused  map[string]bool // of replace
}

// tree reads the root file and puts the files of the sections under it.
func (p *packer) tree() (map[string]any, error) {
	orb, err := p.document(root)
	if err != nil {
		return nil, err
	}
	for _, section := range sections {
		entries, err := fs.ReadDir(p.src, section)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		if err := p.section(orb, section, entries); err != nil {
			return nil, err
		}
	}
	return orb, nil
}

func (p *packer) section(orb map[string]any, section string, entries []fs.DirEntry) error {
	all, ok := orb[section].(map[string]any)
	if !ok && orb[section] != nil {
		return fmt.Errorf("%s: %s is not a map", root, section)
	}
	if all == nil {
		all = make(map[string]any)
	}
	for _, entry := range entries {
		name := path.Join(section, entry.Name())
		ext := path.Ext(entry.Name())
		stem := strings.TrimSuffix(entry.Name(), ext)
		switch {
		case strings.HasPrefix(entry.Name(), "."):
			continue
		case entry.IsDir():
			return fmt.Errorf("%s: versions of the CLI differ on folders in folders; move its files up", name)
		case !slices.Contains([]string{".yml", ".yaml"}, ext):
			continue
		case all[stem] != nil:
			return fmt.Errorf("%s: there is %s of that name already", name, section)
		}
		document, err := p.document(name)
		if err != nil {
			return err
		}
		all[stem] = document
	}
	if len(all) > 0 {
		orb[section] = all
	}
	return nil
}

// document reads a file that is one map, with what it includes.
func (p *packer) document(name string) (map[string]any, error) {
	raw, err := fs.ReadFile(p.src, name)
	if err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var document map[string]any
	if err := dec.Decode(&document); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one document", name)
	}
	if _, err := p.resolve(document); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return document, nil
}

// resolve returns value with its includes resolved; maps and lists are changed in place.
func (p *packer) resolve(value any) (_ any, err error) {
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			if v[key], err = p.resolve(item); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, item := range v {
			if v[i], err = p.resolve(item); err != nil {
				return nil, err
			}
		}
	case string:
		return p.include(v)
	case map[any]any:
		return nil, errors.New("a key that is no string")
	}
	return value, nil
}

// include returns the file's text if value is an include. On what versions of the CLI
// treat differently it insists: an include is a whole value, and a file has no `<<`,
// which CircleCI would take for a parameter unless it is escaped.
func (p *packer) include(value string) (string, error) {
	m := include.FindStringSubmatch(value)
	if m == nil {
		return value, nil
	}
	if m[0] != value {
		return "", fmt.Errorf("%q: an include must be the whole value", value)
	}
	name := path.Clean(m[1])
	raw, ok := p.replace[name]
	delete(p.unused, name)
	if !ok {
		var err error
		if raw, err = fs.ReadFile(p.src, name); err != nil {
			return "", err
		}
	}
	if bytes.Contains(raw, []byte("<<")) {
		return "", fmt.Errorf("%s: `<<` would be taken for a parameter; write it in another way", name)
	}
	return string(raw), nil
}
