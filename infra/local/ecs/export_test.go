package ecs

import (
	"os/exec"
	"syscall"
	"testing"
)

// RefuseNamespaces makes the kernel refuse what isolates a task, for one test.
func RefuseNamespaces(t *testing.T) {
	before := isolate
	t.Cleanup(func() { isolate = before })
	isolate = func(cmd *exec.Cmd, _, _ int) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_FS} // never allowed together
	}
}
