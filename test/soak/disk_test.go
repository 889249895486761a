package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// size of the disk; what is not written takes no memory.
const size = "size=2g"

// disk is gatepassctl serve whose data directory is on a disk of its own.
type disk struct {
	*worldtest.World
	t     *testing.T
	mount string
	url   atomic.Pointer[string]
}

// diskFaults are what happens to serve and its disk. Each is over when it returns.
var diskFaults = map[string]func(*disk){
	"killed":            (*disk).kill,
	"disk full":         (*disk).fill,
	"disk read-only":    (*disk).readOnly,
	"data vanished":     (*disk).vanish,
	"database replaced": (*disk).replace,
}

// serve on SQLite, killed and on disks that are full, read-only and gone, loses no credential that a
// client got, and doubles none.
func TestSoakServe(t *testing.T) {
	if os.Getenv(insideEnv) == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("no mount namespace can be made: run as root, with CAP_SYS_ADMIN")
		}
		t.Skip("skipped: no mount namespace can be made; run as root, with CAP_SYS_ADMIN")
	}
	t.Parallel()
	d := &disk{t: t, mount: filepath.Join(t.TempDir(), "disk")}
	worldtest.Must(t, os.Mkdir(d.mount, 0o700))
	worldtest.Must(t, unix.Mount("soak", d.mount, "tmpfs", 0, size))
	t.Cleanup(func() { _ = unix.Unmount(d.mount, unix.MNT_DETACH) })
	d.World = worldtest.LocalAt(t, d.data(), worldtest.ServeOptions{})
	d.Apply(rules)
	d.url.Store(&d.Serve.URL)

	l := startLoad(t, d.Issuer, nil, func() string { return *d.url.Load() }, 8, 100*time.Millisecond)
	inTurns(l, diskFaults, d)
	l.stop()
	d.restart(syscall.SIGKILL)
	l.settle(50)
	store, err := sqlite.Open(t.Context(), d.data(), sqlite.Options{MustExist: true})
	worldtest.Must(t, err)
	defer store.Close()
	l.summary(l.compare(d.Serve.Ctl("joins", "export"), store))
}

func (d *disk) data() string { return filepath.Join(d.mount, "data") }

// restart ends serve and starts it again.
func (d *disk) restart(sig syscall.Signal) {
	d.t.Helper()
	d.Serve.Stop(sig)
	d.start()
}

func (d *disk) start() {
	d.t.Helper()
	d.Serve = worldtest.StartServe(d.t, d.data())
	d.url.Store(&d.Serve.URL)
}

func (d *disk) kill() { d.restart(syscall.SIGKILL) }

// fill leaves hardly a byte free for a while.
func (d *disk) fill() {
	d.t.Helper()
	err := error(unix.EINVAL)
	for err != nil && d.t.Context().Err() == nil { // serve may have written meanwhile
		var now unix.Statfs_t
		worldtest.Must(d.t, unix.Statfs(d.mount, &now))
		err = unix.Mount("", d.mount, "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", int64(now.Blocks-now.Bfree)*now.Bsize))
	}
	d.during()
	worldtest.Must(d.t, unix.Mount("", d.mount, "", unix.MS_REMOUNT, size))
}

// readOnly kills serve, and has it find a disk that it cannot write to: it says so and does not start.
func (d *disk) readOnly() {
	d.t.Helper()
	d.Serve.Stop(syscall.SIGKILL)
	worldtest.Must(d.t, unix.Mount("", d.mount, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	cmd := d.Serve.CtlCommand("serve", "--listen", "127.0.0.1:0")
	go func() { <-ctx.Done(); _ = cmd.Process.Kill() }()
	worldtest.Run(d.t, cmd).Failed(d.t, 1, "writable")
	worldtest.Must(d.t, unix.Mount("", d.mount, "", unix.MS_REMOUNT, ""))
	d.start()
}

// vanish moves the data directory away under serve for a while.
func (d *disk) vanish() {
	d.t.Helper()
	worldtest.Must(d.t, os.Rename(d.data(), d.data()+".away"))
	d.during()
	worldtest.Must(d.t, os.Rename(d.data()+".away", d.data()))
}

// replace has another database at the place of serve's for a while.
func (d *disk) replace() {
	d.t.Helper()
	file := filepath.Join(d.data(), "gatepass.db")
	worldtest.Must(d.t, os.Rename(file, file+".away"))
	worldtest.Must(d.t, os.WriteFile(file, nil, 0o600))
	d.during()
	worldtest.Must(d.t, os.Rename(file+".away", file))
}

func (d *disk) during() { time.Sleep(300*time.Millisecond + rand.N(500*time.Millisecond)) }
