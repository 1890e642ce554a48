//go:build e2e

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// demonstration is the built demo with a temporary folder of its own.
func demonstration(t *testing.T) (cmd *exec.Cmd, tmp string) {
	t.Helper()
	bin, err := filepath.Abs("../../../build/demo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("make build comes first: %v", err)
	}
	tmp = t.TempDir()
	cmd = exec.CommandContext(t.Context(), bin)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "LIVE=")
	return cmd, tmp
}

// leftBy finds what a demonstration left: files in its folder, and processes
// that have the folder in their environment or among their arguments.
func leftBy(t *testing.T, tmp string) (left []string) {
	t.Helper()
	files, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		left = append(left, f.Name())
	}
	for _, pattern := range []string{"/proc/[0-9]*/environ", "/proc/[0-9]*/cmdline"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), tmp) {
				left = append(left, path)
			}
		}
	}
	return left
}

func TestE2EDemoShowsAPatchThatPassesAndLeavesNothing(t *testing.T) {
	cmd, tmp := demonstration(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{"not ok 2", "RANK", "claude", "codex", "gemini", "grok", "diff --git a/src/pages.js", `"node --test" passes`, "Done in"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(string(out), "  succeeded  passed  "); n != 4 {
		t.Errorf("%d of 4 agents succeeded:\n%s", n, out)
	}
	if left := leftBy(t, tmp); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestE2EDemoCleansUpWhenItIsInterrupted(t *testing.T) {
	for _, at := range []string{"Nothing to fetch", "Outpost runs on", "(claude) running", "(claude) phase: agent", "RANK"} {
		t.Run("at "+at, func(t *testing.T) {
			cmd, tmp := demonstration(t)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout, cmd.Stderr = w, w
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			lines, seen := bufio.NewScanner(r), false
			for lines.Scan() {
				if !seen && strings.Contains(lines.Text(), at) {
					seen = true
					if err := cmd.Process.Signal(os.Interrupt); err != nil {
						t.Fatal(err)
					}
				}
			}
			err = cmd.Wait()
			if !seen || cmd.ProcessState.ExitCode() != 130 {
				t.Errorf("seen %t, ended with %v", seen, err)
			}
			if left := leftBy(t, tmp); left != nil {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestE2EDemoCleansUpWhenNobodyReadsOn(t *testing.T) {
	cmd, tmp := demonstration(t)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	out.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("it never ended")
	}
	// The client's own writes fail too, so the demonstration may count as
	// failed, and then its logs stay; its processes must not.
	for _, l := range leftBy(t, tmp) {
		if strings.HasPrefix(l, "/proc/") {
			t.Errorf("left behind: %s", l)
		}
	}
}
