package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adopt makes this process the parent of any descendant whose own parent ends,
// so that none escapes leftOver.
func adopt() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// settling is how long the kernel may take to end what was killed.
const settling = 5 * time.Second

// leftOver kills the processes that this one still has below it, and names
// them; nil when there is none.
func leftOver() error {
	deadline := time.Now().Add(settling)
	var left map[int]string
	for {
		if left = descendants(os.Getpid()); len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	var names []string
	for pid, name := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		names = append(names, fmt.Sprintf("%s (%d)", name, pid))
	}
	return fmt.Errorf("processes were left behind and had to be killed: %s", strings.Join(names, ", "))
}

// descendants finds the living processes below one, by /proc; zombies hold
// nothing.
func descendants(root int) map[int]string {
	type process struct {
		parent int
		name   string
	}
	all := map[int]process{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …, and a name may hold anything.
		before, after, ok := strings.Cut(string(text), " (")
		end := strings.LastIndex(after, ") ")
		if !ok || end < 0 {
			continue
		}
		fields := strings.Fields(after[end+2:])
		pid, err := strconv.Atoi(before)
		if err != nil || len(fields) < 2 || fields[0] == "Z" || fields[0] == "X" {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		all[pid] = process{parent, after[:end]}
	}
	below := map[int]string{}
	for pid, p := range all {
		for up, steps := p.parent, 0; up > 0 && steps < len(all); up, steps = all[up].parent, steps+1 {
			if up == root {
				below[pid] = p.name
				break
			}
		}
	}
	return below
}
