// Command vulndb lays out the reports of the module golang.org/x/vulndb as the
// database that govulncheck reads (https://go.dev/security/vuln/database#api).
//
//	vulndb MODULE-DIR DATABASE-DIR
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// report is what the indexes take of one report (https://ossf.github.io/osv-schema).
type report struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"`
	Aliases  []string  `json:"aliases"`
	Affected []struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Events []struct {
				Fixed string `json:"fixed"`
			} `json:"events"`
		} `json:"ranges"`
	} `json:"affected"`
}

// The entries of index/modules.json and index/vulns.json.
type (
	module struct {
		Path  string       `json:"path"`
		Vulns []moduleVuln `json:"vulns"`
	}
	moduleVuln struct {
		ID       string    `json:"id"`
		Modified time.Time `json:"modified"`
		Fixed    string    `json:"fixed,omitempty"`
	}
	vuln struct {
		ID       string    `json:"id"`
		Modified time.Time `json:"modified"`
		Aliases  []string  `json:"aliases,omitempty"`
	}
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: vulndb MODULE-DIR DATABASE-DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "vulndb:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, "data", "osv", "GO-*.json"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("there are no reports in %s", from)
	}
	for _, dir := range []string{"index", "ID"} {
		if err := os.MkdirAll(filepath.Join(to, dir), 0o755); err != nil {
			return err
		}
	}
	modules, vulns := map[string]*module{}, []vuln{}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var r report
		if err := json.Unmarshal(body, &r); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(to, "ID", r.ID+".json"), body, 0o644); err != nil {
			return err
		}
		vulns = append(vulns, vuln{r.ID, r.Modified, r.Aliases})
		r.index(modules)
	}
	return writeIndexes(filepath.Join(to, "index"), modules, vulns)
}

// index adds the report to each module that it affects, once.
func (r report) index(modules map[string]*module) {
	for _, affected := range r.Affected {
		path := affected.Package.Name
		if modules[path] == nil {
			modules[path] = &module{Path: path}
		}
		m := modules[path]
		if n := len(m.Vulns); n == 0 || m.Vulns[n-1].ID != r.ID {
			m.Vulns = append(m.Vulns, moduleVuln{ID: r.ID, Modified: r.Modified})
		}
		last := &m.Vulns[len(m.Vulns)-1]
		for _, ranges := range affected.Ranges {
			for _, event := range ranges.Events {
				if event.Fixed != "" {
					last.Fixed = event.Fixed
				}
			}
		}
	}
}

func writeIndexes(dir string, modules map[string]*module, vulns []vuln) error {
	list := make([]*module, 0, len(modules))
	for _, m := range modules {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *module) int { return strings.Compare(a.Path, b.Path) })
	newest := time.Time{}
	for _, v := range vulns {
		if v.Modified.After(newest) {
			newest = v.Modified
		}
	}
	for name, value := range map[string]any{
		"db.json": map[string]time.Time{"modified": newest}, "modules.json": list, "vulns.json": vulns,
	} {
		body, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			return err
		}
	}
	return nil
}
