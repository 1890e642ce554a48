package sandbox

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// killAll kills every descendant until none is left. One kill is not enough
// without a namespace: a process may fork while the others are being listed.
func killAll(none <-chan struct{}) {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		if os.Getpid() == 1 {
			_ = unix.Kill(-1, unix.SIGKILL)
		} else {
			for _, pid := range descendants() {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-none:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// descendants lists the processes below this one. Stray ones are among them:
// they became this process's children when their parents ended.
func descendants() []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		// pid (name) state ppid: the name may hold anything, a bracket too.
		rest := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(rest) < 2 {
			continue
		}
		parent, _ := strconv.Atoi(rest[1])
		children[parent] = append(children[parent], pid)
	}
	found := children[os.Getpid()]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}
