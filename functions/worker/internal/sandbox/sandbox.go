// Package sandbox starts every child process of the worker, one at a time, and
// returns only when no descendant of it is left. The worker adopts what its
// children leave behind: as the first process of a PID namespace or a
// container by the kernel's rule, elsewhere as a child subreaper. So one loop of
// wait4 sees every end, and its ECHILD is the proof that nothing runs any more.
//
// Children get a clean environment, a session of their own, no terminal and no
// open files but their three. Output is handed over as it comes; a pipe that a
// stray child holds open delays nothing, since that child is killed.
//
// Here agents run as the worker's user. Another user id, seccomp and the rest
// are a matter of this package alone: callers see Run and Level.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The isolation levels that Level returns.
const (
	LevelNamespace = "pid-namespace" // the kernel ends all with the worker
	LevelProcess   = "process"       // descendants are found through /proc
)

// Command is what to run.
type Command struct {
	Args   []string // program and arguments; looked up in the PATH of Env
	Dir    string
	Env    []string  // all of it
	Stdin  io.Reader // nil for nothing at all
	Stdout io.Writer // nil drops the output; an error of it kills the command
	Stderr io.Writer
	Grace  time.Duration // between TERM and KILL when it must end; none kills at once
}

func (c Command) name() string {
	if len(c.Args) == 0 {
		return "a command"
	}
	return strconv.Quote(c.Args[0])
}

// Exit is how a command ended.
type Exit struct {
	Code   int            // -1 when a signal ended it
	Signal syscall.Signal // 0 when it ended by itself
}

// String says it in words.
func (e Exit) String() string {
	if e.Signal != 0 {
		return "ended by signal " + unix.SignalName(e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// ErrNotStarted is returned when the command's program could not be started.
var ErrNotStarted = errors.New("could not start")

// Level tells what holds a command's descendants together.
func Level() string {
	if os.Getpid() == 1 {
		return LevelNamespace
	}
	return LevelProcess
}

// one serialises commands: the waiting loop takes every child for its own.
var one sync.Mutex

// Run runs the command until it ends or ctx is done; then it gets TERM, and
// KILL after c.Grace. All descendants are dead when Run returns. The error is
// ErrNotStarted, the cause of ctx, or an error of Stdout or Stderr; Exit tells
// the rest.
func Run(ctx context.Context, c Command) (Exit, error) {
	one.Lock()
	defer one.Unlock()
	if ctx.Err() != nil {
		return Exit{Code: -1}, context.Cause(ctx)
	}
	if err := adopt(); err != nil {
		return Exit{Code: -1}, err
	}
	pipes, err := connect(c)
	if err != nil {
		return Exit{Code: -1}, err
	}
	program, err := lookPath(c)
	if err != nil {
		pipes.abandon()
		return Exit{Code: -1}, fmt.Errorf("%w %s: %w", ErrNotStarted, c.name(), err)
	}
	process, err := os.StartProcess(program, c.Args, &os.ProcAttr{
		Dir: c.Dir, Env: c.Env, Files: pipes.child,
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		pipes.abandon()
		return Exit{Code: -1}, fmt.Errorf("%w %s: %w", ErrNotStarted, c.name(), err)
	}
	pipes.pump(c)
	defer func() { _ = process.Release() }()

	ended, none := make(chan Exit, 1), make(chan struct{})
	go reap(process.Pid, ended, none)
	exit, err := wait(ctx, process.Pid, c.Grace, ended, pipes.failed)
	killAll(none)
	if outputErr := pipes.finish(); err == nil {
		err = outputErr
	}
	return exit, err
}

// wait waits for the command's own end, and hastens it when ctx is done or its
// output cannot be taken.
func wait(ctx context.Context, pid int, grace time.Duration, ended <-chan Exit, failed <-chan error) (Exit, error) {
	select {
	case exit := <-ended:
		return exit, nil
	case err := <-failed:
		_ = unix.Kill(-pid, unix.SIGKILL)
		return <-ended, err
	case <-ctx.Done():
	}
	// The command leads a session: this reaches its group. Who left the group
	// gets no warning.
	_ = unix.Kill(-pid, unix.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case exit := <-ended:
		return exit, context.Cause(ctx)
	case <-timer.C:
		_ = unix.Kill(-pid, unix.SIGKILL)
		return <-ended, context.Cause(ctx)
	}
}

// reap waits for every child, adopted ones included, until there is none.
func reap(main int, ended chan<- Exit, none chan<- struct{}) {
	defer close(none)
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil: // ECHILD
			return
		case pid == main && status.Signaled():
			ended <- Exit{Code: -1, Signal: status.Signal()}
		case pid == main:
			ended <- Exit{Code: status.ExitStatus()}
		}
	}
}

// lookPath finds the program in the command's own PATH.
func lookPath(c Command) (string, error) {
	if len(c.Args) == 0 {
		return "", errors.New("no program")
	}
	return find(c.Args[0], c.Env)
}

// adopt makes this process the parent of orphaned descendants.
var adopt = sync.OnceValue(func() error {
	if os.Getpid() == 1 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a child subreaper: %w", err)
	}
	return nil
})
