package ssh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

// claims is an SFTP server with one file that says one thing of itself and is another.
type claims struct {
	hostile
	size    int64
	content string
}

func (c claims) Size() int64 { return c.size }

func (c claims) Filelist(*sftp.Request) (sftp.ListerAt, error) { return lister{c}, nil }

func (c claims) Fileread(*sftp.Request) (io.ReaderAt, error) {
	return strings.NewReader(c.content), nil
}

// A file is as long as it said, or has not got its name.
func TestAFileOfAnotherSizeThanItSays(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		size    int64
		content string
		want    string // what is copied
		says    string
	}{
		"as it says":                 {4, "evil", "evil", ""},
		"more, as of one that grows": {4, "evil and more", "evil", ""},
		"much more":                  {4, large, "xxxx", ""},
		"more, over many packets":    {int64(len(large)), large + large, large, ""},
		"less":                       {5, "evil", "", "sends 4 bytes of file, which has 5"},
		"less, over many packets":    {int64(len(large)) + 1, large, "", "sends 1048576 bytes"},
		"nothing":                    {1 << 40, "", "", "sends 0 bytes"},
		"nothing, and sends":         {0, "evil", "", "says that file is empty"},
		"more than there is":         {-1, "evil", "", "has 18446744073709551615 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			into := t.TempDir()
			host := claims{hostile{name: "file", mode: 0o644}, test.size, test.content}
			_, err := serve(t, host, host).Download(context.Background(), []string{"file"}, into)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || len(cli.Of(err).Hints) == 0) {
				t.Fatalf("got %v, want %q", err, test.says)
			}
			entries, err := os.ReadDir(into)
			if err != nil || test.says != "" && len(entries) > 0 {
				t.Errorf("left behind: %v %v", entries, err)
			}
			if got, _ := os.ReadFile(filepath.Join(into, "file")); string(got) != test.want {
				t.Errorf("%d bytes were copied, want %d", len(got), len(test.want))
			}
		})
	}
}

// A host's modes give nobody more than the umask does.
func TestModesOfAHostAreHeldToTheUmask(t *testing.T) {
	before := syscall.Umask(0o027)
	defer syscall.Umask(before)
	for mode, want := range map[fs.FileMode]fs.FileMode{
		0o666: 0o640, 0o777: 0o750, 0o600: 0o600, 0o400: 0o400, fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky | 0o777: 0o750,
	} {
		into := t.TempDir()
		host := within{hostile{name: "file", mode: mode}, "folder"}
		if _, err := serve(t, host, host).Download(context.Background(), []string{"tree"}, into); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]fs.FileMode{"tree": 0o750, "tree/folder": 0o750, "tree/folder/file": want} {
			if info, err := os.Stat(filepath.Join(into, name)); err != nil || info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != want {
				t.Errorf("%s of a file with %s: %v %v, want %s", name, mode, info.Mode(), err, want)
			}
		}
	}
	if now := syscall.Umask(0o027); now != 0o027 {
		t.Errorf("the umask is now %03o", now)
	}
}

// endless lists names for as long as it is asked.
type endless struct{ hostile }

func (e endless) ListAt(to []os.FileInfo, offset int64) (int, error) {
	for i := range to {
		to[i] = hostile{name: strings.Repeat("x", 200), mode: 0o644}
	}
	return len(to), nil
}

func (e endless) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "List" {
		return e, nil
	}
	return lister{folder(e)}, nil
}

func TestAListingWithoutEnd(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	host := endless{hostile{name: "tree", mode: fs.ModeDir | 0o755}}
	into := t.TempDir()
	_, err := serve(t, host, host).Download(context.Background(), []string{"tree"}, into)
	if err == nil || !strings.Contains(err.Error(), "lists more in tree than is copied") {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(into); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 256<<20 {
		t.Errorf("%d MiB are kept", grown>>20)
	}
}

// newHost starts an SSH server that lets anyone in and does as a test says from then on, and
// logs in to it.
func newHost(t *testing.T, session func(ssh.Channel, <-chan *ssh.Request)) *Conn {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			raw, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { raw.Close() })
			go serveHost(raw, config, session)
		}
	}()
	target, err := ParseTarget("deploy@" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	login := Config{Signer: signer, HostKeys: HostKeys{InsecureIgnore: true, Now: time.Now}, Timeout: 10 * time.Second, Patience: 300 * time.Millisecond}
	conn, err := login.Dial(context.Background(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func serveHost(raw net.Conn, config *ssh.ServerConfig, session func(ssh.Channel, <-chan *ssh.Request)) {
	_, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	// It answers whether it is there: a hostile host is not a dead one.
	go func() {
		for r := range requests {
			_ = r.Reply(true, nil)
		}
	}()
	for c := range channels {
		if session == nil {
			continue // and neither opens nor refuses it
		}
		if channel, requests, err := c.Accept(); err == nil {
			go session(channel, requests)
		}
	}
}

// A host that is there and says nothing keeps nobody, wherever it stops.
func TestAHostThatIsSilent(t *testing.T) {
	sftpOf := func(answer func(ssh.Channel)) func(ssh.Channel, <-chan *ssh.Request) {
		return func(c ssh.Channel, requests <-chan *ssh.Request) {
			for r := range requests {
				_ = r.Reply(true, nil)
				go answer(c)
			}
		}
	}
	// SSH_FXP_VERSION, version 3 (draft-ietf-secsh-filexfer-02, section 4)
	version := []byte{0, 0, 0, 5, 2, 0, 0, 0, 3}
	for name, session := range map[string]func(ssh.Channel, <-chan *ssh.Request){
		"it opens no session":       nil,
		"it starts nothing":         func(ssh.Channel, <-chan *ssh.Request) {},
		"it has no version of SFTP": sftpOf(func(ssh.Channel) {}),
		"it answers no question":    sftpOf(func(c ssh.Channel) { _, _ = c.Write(version); _, _ = io.Copy(io.Discard, c) }),
		"it sends half an answer": sftpOf(func(c ssh.Channel) {
			_, _ = c.Write(append(version, 0, 0, 1, 0, 104))
			_, _ = io.Copy(io.Discard, c)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			conn := newHost(t, session)
			copier := &Copier{}
			_, err := conn.Transfer(context.Background(), copier, func() (Total, error) {
				return copier.Download(context.Background(), []string{"x"}, t.TempDir())
			})
			if err == nil || cli.Of(err).Exit != StatusConnection || !strings.Contains(err.Error(), "no answer for 300ms") {
				t.Errorf("a copy: %v", err)
			}
			if session != nil && !strings.HasPrefix(name, "it starts") {
				return
			}
			conn = newHost(t, session)
			_, err = conn.Run(context.Background(), Command{Line: "true", Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard})
			if err == nil || cli.Of(err).Exit != StatusConnection || !strings.Contains(err.Error(), "no answer for 300ms") {
				t.Errorf("a command: %v", err)
			}
		})
	}
}

// Whatever a host says of a command that failed, it did not end well.
func TestNoFailureIsAnExitStatusOfZero(t *testing.T) {
	for _, test := range []struct {
		request string
		payload []byte
		want    int
	}{
		{"exit-status", binary.BigEndian.AppendUint32(nil, 0), 0},
		{"exit-status", binary.BigEndian.AppendUint32(nil, 1), 1},
		{"exit-status", binary.BigEndian.AppendUint32(nil, 255), 255},
		{"exit-status", binary.BigEndian.AppendUint32(nil, 256), 255},
		{"exit-status", binary.BigEndian.AppendUint32(nil, 512), 255},
		{"exit-status", binary.BigEndian.AppendUint32(nil, 1<<31), 255},
		{"exit-status", binary.BigEndian.AppendUint32(nil, 1<<32-1), 255},
		{"exit-signal", ssh.Marshal(struct {
			Signal  string
			Core    bool
			Message string
			Lang    string
		}{"TERM", false, "", ""}), 128 + 15},
		{"exit-signal", ssh.Marshal(struct {
			Signal  string
			Core    bool
			Message string
			Lang    string
		}{"\x1b[31mNONE", true, "x", ""}), 128},
	} {
		t.Run(fmt.Sprintf("%s %x", test.request, test.payload), func(t *testing.T) {
			conn := newHost(t, func(c ssh.Channel, requests <-chan *ssh.Request) {
				for r := range requests {
					_ = r.Reply(true, nil)
					_, _ = c.SendRequest(test.request, false, test.payload)
					c.Close()
				}
			})
			status, err := conn.Run(context.Background(), Command{Line: "false", Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard})
			if err != nil || status != test.want {
				t.Errorf("status %d, want %d: %v", status, test.want, err)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		conn := newHost(t, func(c ssh.Channel, requests <-chan *ssh.Request) {
			for r := range requests {
				_ = r.Reply(true, nil)
				c.Close()
			}
		})
		var missing *cli.Error
		if _, err := conn.Run(context.Background(), Command{Line: "false", Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}); !errors.As(err, &missing) || missing.Exit != StatusConnection {
			t.Errorf("got %v", err)
		}
	})
}
