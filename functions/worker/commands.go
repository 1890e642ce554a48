package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"outpost/functions/worker/internal/checkout"
	"outpost/functions/worker/internal/outcome"
	"outpost/functions/worker/internal/output"
	"outpost/functions/worker/internal/sandbox"
	"outpost/shared/task"
)

// setup prepares the agent's work tree by the tenant's command.
func (a *attempt) setup(ctx context.Context, tree *checkout.WorkTree) error {
	if a.claim.Setup == "" {
		return nil
	}
	a.enter(phaseSetup)
	log, err := a.commandLog()
	if err != nil {
		return err
	}
	exit, err := a.shell(ctx, "setup", a.claim.Setup, tree.Dir, log)
	if err != nil {
		return err
	}
	if exit != (sandbox.Exit{}) {
		return outcome.Fail(task.ReasonSetupFailed, exit.String())
	}
	return nil
}

// verify runs setup and the verify command on a fresh checkout with the patch
// applied. It runs when every process of the agent is gone, and sees nothing
// of the agent's but the patch.
func (a *attempt) verify(ctx context.Context, m *made) error {
	exit, err := a.verified(ctx, m)
	switch {
	case err == nil && exit == (sandbox.Exit{}):
		a.result.Verify = task.Verify{State: task.VerifyPassed}
	case err == nil:
		a.result.Verify = task.Verify{State: task.VerifyFailed, ExitCode: shellCode(exit)}
	case errors.Is(err, outcome.ErrDeadline):
		a.result.Verify = task.Verify{State: task.VerifyTimeout, ExitCode: -1}
	default:
		return err
	}
	return nil
}

func (a *attempt) verified(ctx context.Context, m *made) (sandbox.Exit, error) {
	log, err := a.commandLog()
	if err != nil {
		return sandbox.Exit{}, err
	}
	tree, err := m.repo.WorkTree(ctx, m.patch.Commit, m.patch.Tree, a.dir.verify)
	if err != nil {
		return sandbox.Exit{}, err
	}
	if a.claim.Setup != "" {
		exit, err := a.shell(ctx, "setup before verify", a.claim.Setup, tree.Dir, log)
		if err != nil || exit != (sandbox.Exit{}) {
			return exit, err
		}
	}
	return a.shell(ctx, "verify", a.claim.Verify, tree.Dir, log)
}

// shellCode is an exit as a shell tells it: 128 and the signal.
func shellCode(e sandbox.Exit) int {
	if e.Signal != 0 {
		return 128 + int(e.Signal)
	}
	return e.Code
}

// commandLog returns the log of the tenant's commands, one for all of them.
func (a *attempt) commandLog() (*output.File, error) {
	if a.commandOutput == nil {
		file, err := a.outputs.Create(task.ArtifactVerifyLog, task.MaxLog, output.Cut)
		if err != nil {
			return nil, err
		}
		a.commandOutput = file
	}
	return a.commandOutput, nil
}

// commandGrace is what a tenant's command gets between TERM and KILL.
const commandGrace = 2 * time.Second

// shell runs a command of the tenant in a work tree, by the shell, since that
// is what tenants write. It gets a home of its own and no key.
func (a *attempt) shell(ctx context.Context, what, command, dir string, log io.Writer) (sandbox.Exit, error) {
	home, err := os.MkdirTemp(a.dir.commands, "home-")
	if err != nil {
		return sandbox.Exit{}, fmt.Errorf("make a home for the %s command: %w", what, err)
	}
	tmp := filepath.Join(home, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return sandbox.Exit{}, fmt.Errorf("make a home for the %s command: %w", what, err)
	}
	_, _ = fmt.Fprintf(log, "$ (%s) %s\n", what, command) // told by its Close
	told := &lineEvents{tell: func(line string) { a.events.Emit(task.EventOutput, line) }}
	both := io.MultiWriter(log, told)
	exit, err := sandbox.Run(ctx, sandbox.Command{
		Args: []string{"sh", "-c", command}, Dir: dir,
		Env:    []string{"PATH=" + a.Path, "HOME=" + home, "TMPDIR=" + tmp, "LANG=C.UTF-8", "CI=1", "GIT_TERMINAL_PROMPT=0"},
		Stdout: both, Stderr: both, Grace: commandGrace,
	})
	told.end()
	if err == nil {
		_, _ = fmt.Fprintf(log, "[%s: %s]\n", what, exit)
	}
	return exit, err
}

// Limits of what a command's output gives to the events; the log has it all.
const (
	maxCommandLines = 500
	maxCommandLine  = 4 << 10 // bytes
)
