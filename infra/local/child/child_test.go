package child_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"outpost/infra/local/child"
	"outpost/shared/clock"
)

// TestMain lets the test binary be a parent that starts a child and says its
// process id.
func TestMain(m *testing.M) {
	if os.Getenv("PARENT") != "" {
		cmd := exec.Command("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
		if os.Getenv("PARENT") == "isolated" {
			child.Isolate(cmd, os.Getuid(), os.Getgid())
		}
		if err := child.Start(cmd); err != nil {
			fmt.Println("no child:", err)
			os.Exit(1)
		}
		fmt.Println(cmd.Process.Pid)
		_ = cmd.Wait()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestAChildDiesWithItsParentHoweverThatEnds(t *testing.T) {
	for _, kind := range []string{"plain", "isolated"} {
		parent := exec.Command(os.Args[0])
		parent.Env = append(os.Environ(), "PARENT="+kind)
		out, err := parent.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := parent.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(line)
		}
		if err := syscall.Kill(pid, 0); err != nil {
			t.Fatalf("%s: the child does not run: %v", kind, err)
		}
		if err := parent.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = parent.Wait()
		for end := time.Now().Add(time.Minute); alive(pid); {
			if time.Now().After(end) {
				t.Fatalf("%s: the child outlives its parent", kind)
			}
			<-clock.System.After(time.Millisecond)
		}
	}
}

// alive tells whether a process runs: one that nobody has waited for yet does
// not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
