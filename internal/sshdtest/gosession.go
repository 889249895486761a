package sshdtest

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"time"

	"golang.org/x/crypto/ssh"
)

// forceCommand is the critical option of a certificate that replaces any command.
const forceCommand = "force-command"

// session serves one session channel until its command has ended, or the client has.
func (g *goServer) session(conn *ssh.ServerConn, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	done := make(chan struct{})
	started := false
	for {
		select {
		case req, open := <-requests:
			if !open { // the client has gone; what it left running ends
				cancel()
				if started {
					<-done
				}
				return
			}
			// RFC 4254, section 6.5: one command a session.
			var request struct{ Command string }
			if started || req.Type != "exec" || ssh.Unmarshal(req.Payload, &request) != nil {
				_ = req.Reply(false, nil)
				continue
			}
			_ = req.Reply(true, nil)
			started = true
			go func() {
				defer close(done)
				g.run(ctx, conn, channel, request.Command)
			}()
		case <-done:
			return
		}
	}
}

// run runs a command as the connection's login and sends its exit status.
func (g *goServer) run(ctx context.Context, conn *ssh.ServerConn, channel ssh.Channel, command string) {
	login := g.accounts[conn.User()]
	env := []string{"HOME=" + login.home, "USER=" + login.name, "LOGNAME=" + login.name, "SHELL=/bin/sh",
		"PATH=/usr/local/bin:/usr/bin:/bin"}
	if forced := conn.Permissions.CriticalOptions[forceCommand]; forced != "" {
		env = append(env, "SSH_ORIGINAL_COMMAND="+command)
		command = forced
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Dir, cmd.Env = login.home, env
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	ownGroup(cmd, login)
	cmd.WaitDelay = 2 * time.Second // for what a command leaves in the background

	// Not cmd.Stdin: Wait would wait for the client to close its side.
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		g.log.printf("starting a command for %s: %v", login.name, err)
		exitStatus(channel, 126)
		return
	}
	go func() {
		_, _ = io.Copy(stdin, channel)
		_ = stdin.Close()
	}()
	err = cmd.Wait()
	endGroup(cmd)
	status := cmd.ProcessState.ExitCode()
	if status < 0 || (err != nil && status == 0 && !errors.Is(err, exec.ErrWaitDelay)) {
		status = 255 // ended by a signal
	}
	exitStatus(channel, status)
}

// exitStatus tells the client how its command ended: RFC 4254, section 6.10.
func exitStatus(channel ssh.Channel, status int) {
	_ = channel.CloseWrite()
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
}
