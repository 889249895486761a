package sshdtest

import (
	"strings"
	"testing"
)

func TestAccountFiles(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/bash\ndeploy:x:1000:1000::/home/deploy:/bin/zsh\nbroken\nwww-data:x:33:33::/var/www:/usr/sbin/nologin"
	const group = "root:x:0:\ntty:x:5:\ndeploy:x:1000:\n"
	tests := []struct {
		name                  string
		privileged            bool
		wantPasswd, wantGroup string
	}{
		{name: "as root", privileged: true,
			wantPasswd: "deploy:x:12345:12345::/d/home/deploy:/bin/sh\n" +
				"root:x:0:0::/d/home/root:/bin/sh\n" +
				"sshd:x:12346:12346::/run/sshd:/bin/sh\n" +
				"www-data:x:33:33::/var/www:/usr/sbin/nologin\n",
			wantGroup: "deploy:x:12345:\nroot:x:0:\nsshd:x:12346:\ntty:x:5:\n"},
		{name: "as a user, for whom every login is that user",
			wantPasswd: "deploy:x:7:8::/d/home/deploy:/bin/sh\n" +
				"root:x:0:0::/d/home/root:/bin/sh\n" +
				"sshd:x:12345:12345::/run/sshd:/bin/sh\n" +
				"www-data:x:33:33::/var/www:/usr/sbin/nologin\n",
			wantGroup: "deploy:x:8:\nroot:x:0:\nsshd:x:12345:\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			accounts := sshdAccounts([]string{"root", "deploy"}, "/d", tt.privileged, 7, 8, []byte(passwd))
			gotPasswd, gotGroup, gotShadow := accountFiles(accounts, []byte(passwd), []byte(group), tt.privileged)
			if gotPasswd != tt.wantPasswd {
				t.Errorf("passwd:\n%swant:\n%s", gotPasswd, tt.wantPasswd)
			}
			if gotGroup != tt.wantGroup {
				t.Errorf("group:\n%swant:\n%s", gotGroup, tt.wantGroup)
			}
			for line := range strings.Lines(gotShadow) {
				if _, rest, _ := strings.Cut(line, ":"); !strings.HasPrefix(rest, "*:") {
					t.Errorf("shadow: %q has a password or is locked", line)
				}
			}
		})
	}
}
