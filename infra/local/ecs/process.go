package ecs

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"outpost/infra/local/child"
)

// MaxLog bounds what is kept of a task's output, in bytes.
const MaxLog = 4 << 20

// run is the life of a task: a process, until it exits, StopTask ends it or
// Outpost stops.
func (s *Service) run(t *task, def Definition) {
	scratch, err := os.MkdirTemp(s.scratch(), t.Family+"-")
	if err != nil {
		s.ended(t, "TaskFailedToStart", "no scratch folder: "+err.Error(), 1)
		return
	}
	defer func() { _ = remove(scratch) }() // else by the next Open
	cmd := exec.Command(def.Path, def.Args...)
	cmd.Dir = scratch
	cmd.Env = append([]string{"TMPDIR=" + scratch}, def.Env...)
	for k, v := range t.Environment {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	logs, err := os.OpenFile(s.file(t, ".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.ended(t, "TaskFailedToStart", "no log file: "+err.Error(), 1)
		return
	}
	defer logs.Close()
	cmd.Stdout = &capped{w: logs, left: MaxLog}
	cmd.Stderr = cmd.Stdout
	cmd.WaitDelay = time.Second // a stray that holds the log keeps nobody waiting
	weak, err := s.start(cmd)
	if err != nil {
		s.ended(t, "TaskFailedToStart", "CannotStartContainerError: "+err.Error(), 1)
		return
	}

	s.mu.Lock()
	t.process = cmd.Process
	s.mu.Unlock()
	exited := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if weak {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of the group
			killStrays(scratch)
		}
		exited <- err
	}()
	code, reason := "EssentialContainerExited", "Essential container in task exited"
	select {
	case err = <-exited:
	case <-t.stop:
		code, reason = "UserInitiated", t.stopReason
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err = <-exited:
		case <-s.Clock.After(s.StopTimeout):
			_ = cmd.Process.Kill()
			err = <-exited
		case <-s.ctx.Done():
			_ = cmd.Process.Kill()
			err = <-exited
		}
	case <-s.ctx.Done():
		// Recorded and delivered when the service is opened again, as after a crash.
		_ = cmd.Process.Kill()
		<-exited
		return
	}
	s.ended(t, code, reason, exitCode(err))
}

// scratch is where tasks have their folders; what a crash left is cleared by
// Open.
func (s *Service) scratch() string { return filepath.Join(s.Dir, "scratch") }

// isolate is replaced by the test of a kernel that refuses.
var isolate = child.Isolate

// start starts the command in a PID namespace, or, where that fails, weakly: in
// a process group.
func (s *Service) start(cmd *exec.Cmd) (weak bool, err error) {
	plain := *cmd
	isolate(cmd, os.Getuid(), os.Getgid())
	refused := child.Start(cmd)
	if refused == nil {
		return false, nil
	}
	plain.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	*cmd = plain
	if err := child.Start(cmd); err != nil {
		return true, err
	}
	s.weaker.Do(func() {
		s.Log("ecs: no PID namespaces here (%v): a process that hides from its task may outlive it", refused)
	})
	return true, nil
}

// exitCode is what a container reports: 128 and the signal for a killed one.
func exitCode(err error) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// capped drops what goes beyond its limit, so that a flood fills no disk.
type capped struct {
	w    io.Writer
	left int
}

func (c *capped) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	_, _ = c.w.Write(p[:n]) // a full disk must not end the task
	return len(p), nil
}
