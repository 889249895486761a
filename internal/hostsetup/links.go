package hostsetup

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxLinks is how many links Linux follows in one path (path_resolution(7)).
const maxLinks = 40

// within returns where a path of the host whose / is top is here. Links are followed as
// the host would: an absolute one begins at its /, and none leads out of it. What is not
// there is left as it is written.
func within(top, name string) (string, error) {
	at, rest := "/", strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		next := path.Join(at, rest[0]) // .. of / is /
		rest = rest[1:]
		target, err := os.Readlink(filepath.Join(top, next))
		if err != nil {
			at = next // no link, or nothing, which whoever opens it will see
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: too many links", name)
		}
		if path.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return filepath.Join(top, at), nil
}

// glob returns the paths on the host that match a pattern, an absolute path, in the
// order in which glob(3), and so sshd, has them.
func (d *Dir) glob(pattern string) ([]string, error) {
	found := []string{"/"}
	for element := range strings.SplitSeq(strings.Trim(path.Clean(pattern), "/"), "/") {
		var next []string
		for _, folder := range found {
			if !strings.ContainsAny(element, `*?[\`) {
				next = append(next, path.Join(folder, element))
				continue
			}
			names, err := d.matching(folder, element)
			if err != nil {
				return nil, err
			}
			next = append(next, names...)
		}
		found = next
	}
	return found, nil
}

// matching returns the paths in a folder of the host whose names match; those that
// begin with a dot do so only where the pattern does.
func (d *Dir) matching(folder, pattern string) (paths []string, err error) {
	here, err := within(d.top, folder)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(os.DirFS(here), ".")
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, e := range entries {
		ok, err := path.Match(pattern, e.Name())
		if err != nil {
			return nil, fmt.Errorf("the pattern %q: %w", pattern, err)
		}
		if ok && (pattern[0] == '.' || e.Name()[0] != '.') {
			paths = append(paths, path.Join(folder, e.Name()))
		}
	}
	return paths, nil
}
