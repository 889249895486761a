package admin

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// editedAtOnce has several people edit one role at the same time, each adding a login
// of their own, while a pipeline applies and prunes the folder that the role is from.
// Who is too late is told so and tries again: no edit is lost, and none undone.
func editedAtOnce(p *place) {
	const people = 5
	f := newFolder(p.t)
	p.run("apply", "-f", f.dir)

	stop, pipeline := make(chan struct{}), sync.WaitGroup{}
	pipeline.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			// It is refused as soon as someone has edited the role.
			out, err := p.command("apply", "-f", f.dir, "--prune", "--selector", "from=folder", "--yes").CombinedOutput()
			if err != nil && !strings.Contains(string(out), "role/deployer was changed by") {
				p.t.Errorf("apply: %v: %s", err, out)
			}
		}
	})
	var editors sync.WaitGroup
	for i := range people {
		editors.Go(func() {
			for end := time.Now().Add(time.Minute); ; {
				cmd := p.command("edit", "role/deployer")
				cmd.Env = append(cmd.Environ(), fmt.Sprintf(`EDITOR=sed -i "s/- deploy$/- deploy\n      - user%d/"`, i), "TMPDIR="+p.t.TempDir())
				out, err := cmd.CombinedOutput()
				switch {
				case err == nil:
					return
				case !strings.Contains(string(out), "role/deployer was changed by someone else meanwhile; nothing was stored"):
					p.t.Errorf("edit: %v: %s", err, out)
					return
				case time.Now().After(end):
					p.t.Error("it never succeeds")
					return
				}
			}
		})
	}
	editors.Wait()
	close(stop)
	pipeline.Wait()

	role := p.state()["role/deployer"]
	for i := range people {
		if !strings.Contains(role, fmt.Sprintf(`"user%d"`, i)) {
			p.t.Errorf("what person %d wrote is lost: %s", i, role)
		}
	}
}
