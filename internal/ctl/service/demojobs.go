package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// exitRefused is the exit code of a join that the service refused.
const exitRefused = 3

// bitbucket runs the Bitbucket guide's step: join, then ssh.
func (d *demo) bitbucket(ctx context.Context) error {
	d.heading("A Bitbucket Pipelines step on branch main")
	token, err := d.issuer.mint(bitbucketPath, "bitbucket-claims.json", "main")
	if err != nil {
		return err
	}
	d.indented("The step has oidc: true, so Bitbucket sets BITBUCKET_STEP_OIDC_TOKEN.\nThe guide's commands, with another service address, and another port and login for ssh.")
	if err := d.succeed(ctx, []string{"BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_STEP_OIDC_TOKEN=" + token},
		"gatepass", "start", "identity", "--destination=./tbot-user", "--join-method=bitbucket",
		"--proxy-server="+d.server, "--token=example-bot", "--oneshot"); err != nil {
		return err
	}
	if err := d.login(ctx, "tbot-user"); err != nil {
		return err
	}
	return d.succeed(ctx, nil, "gatepass", "logout", "./tbot-user")
}

// circleci runs the CircleCI guide's job: join by a configuration file, then ssh.
func (d *demo) circleci(ctx context.Context) error {
	d.heading("A CircleCI job with the context teleport-access")
	token, err := d.issuer.mint(circleCIPath, "circleci-claims.json", "main")
	if err != nil {
		return err
	}
	d.indented("CircleCI sets CIRCLE_OIDC_TOKEN_V2. The guide's tbot.yaml, with the service's address and\nthe token rule's name from above, and one output, as its next step adds.")
	if err := d.succeed(ctx, []string{"CIRCLECI=true", "CIRCLE_OIDC_TOKEN_V2=" + token}, "gatepass", "start", "-c", "tbot.yaml"); err != nil {
		return err
	}
	if err := d.login(ctx, "tbot-user-circleci"); err != nil {
		return err
	}
	return d.succeed(ctx, nil, "gatepass", "logout", "./tbot-user-circleci")
}

// wrongBranch runs the Bitbucket step on a branch that no rule allows.
func (d *demo) wrongBranch(ctx context.Context) error {
	d.heading("The same step on branch feature/x: refused, and why")
	token, err := d.issuer.mint(bitbucketPath, "bitbucket-claims.json", "feature/x")
	if err != nil {
		return err
	}
	output, exit, err := d.command(ctx, []string{"BITBUCKET_BUILD_NUMBER=8", "BITBUCKET_STEP_OIDC_TOKEN=" + token},
		"gatepass", "start", "identity", "--destination=./tbot-user", "--join-method=bitbucket",
		"--proxy-server="+d.server, "--token=example-bot", "--oneshot")
	switch {
	case err != nil:
		return err
	case exit != exitRefused:
		return fmt.Errorf("a join from the wrong branch ended with exit code %d instead of %d", exit, exitRefused)
	}
	if _, err := os.Stat(filepath.Join(d.pipeline, "tbot-user", "key")); !errors.Is(err, os.ErrNotExist) {
		return errors.New("a refused join left a key behind")
	}
	_, id, ok := strings.Cut(output, "gatepassctl joins show ")
	if !ok {
		return errors.New("the refusal does not name the join's record")
	}
	d.indented("exit code 3. The job is not told what the rule wants; an administrator is:")
	return d.succeed(ctx, nil, "gatepassctl", "joins", "show", strings.FieldsFunc(id, notULID)[0])
}

// notULID reports whether r cannot be part of a join id.
func notULID(r rune) bool { return !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z') }
