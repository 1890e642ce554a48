// Package child starts processes that end when Outpost does, however it ends:
// the kernel kills them with their parent (PR_SET_PDEATHSIG). The kernel ties
// that to the thread that forked, so every child is started by one goroutine
// that keeps its thread for ever.
package child

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

var (
	once   sync.Once
	starts = make(chan func())
)

// Start starts the command so that it dies with this process.
func Start(cmd *exec.Cmd) error {
	once.Do(func() {
		go func() {
			runtime.LockOSThread()
			for start := range starts {
				start()
			}
		}()
	})
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	err := make(chan error, 1)
	starts <- func() { err <- cmd.Start() }
	return <-err
}

// Isolate makes the command the first process of a PID namespace of its own,
// so that the kernel kills all its descendants when it ends. Who is not root
// needs a user namespace for that.
func Isolate(cmd *exec.Cmd, uid, gid int) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	attr := cmd.SysProcAttr
	attr.Cloneflags |= syscall.CLONE_NEWPID
	if uid == 0 {
		return
	}
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
}
