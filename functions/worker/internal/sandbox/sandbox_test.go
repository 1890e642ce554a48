package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"outpost/functions/worker/internal/sandbox"
)

// envInside marks this test binary as started again as pid 1 of a namespace.
const envInside = "SANDBOX_TEST_INSIDE"

func sh(script string) sandbox.Command {
	return sandbox.Command{Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}}
}

// alive tells whether a process exists, a zombie included.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestExits(t *testing.T) {
	for _, c := range []struct {
		why, script string
		want        sandbox.Exit
	}{
		{"success", "true", sandbox.Exit{}},
		{"its own code", "exit 7", sandbox.Exit{Code: 7}},
		{"a signal", "kill -9 $$", sandbox.Exit{Code: -1, Signal: syscall.SIGKILL}},
	} {
		if got, err := sandbox.Run(t.Context(), sh(c.script)); err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.why, got, err, c.want)
		}
	}
}

func TestWhatCannotStart(t *testing.T) {
	for _, args := range [][]string{nil, {"no-such-program-here"}, {"/dev/null"}, {""}} {
		_, err := sandbox.Run(t.Context(), sandbox.Command{Args: args, Env: []string{"PATH=/usr/bin:/bin"}})
		if !errors.Is(err, sandbox.ErrNotStarted) {
			t.Errorf("%q: %v, want ErrNotStarted", args, err)
		}
	}
}

func TestTheEnvironmentIsCleanAndStdinIsClosed(t *testing.T) {
	t.Setenv("LEFT_BEHIND", "1")
	var out bytes.Buffer
	c := sh(`cat; env`)
	c.Env = append(c.Env, "GIVEN=1")
	c.Stdout = &out
	if _, err := sandbox.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "LEFT_BEHIND") || !strings.Contains(got, "GIVEN=1") {
		t.Errorf("environment:\n%s", got)
	}
}

func TestInputThatNobodyReadsHangsNothing(t *testing.T) {
	c := sh("exit 3")
	c.Stdin = io.LimitReader(zeros{}, 1<<30)
	if exit, err := sandbox.Run(t.Context(), c); err != nil || exit.Code != 3 {
		t.Errorf("%v, %v", exit, err)
	}
}

func TestInputArrivesWhole(t *testing.T) {
	var out bytes.Buffer
	c := sh("wc -c")
	c.Stdin, c.Stdout = io.LimitReader(zeros{}, 3<<20), &out
	if _, err := sandbox.Run(t.Context(), c); err != nil || strings.TrimSpace(out.String()) != strconv.Itoa(3<<20) {
		t.Errorf("%q, %v", out.String(), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// The child outlives its parents, leaves the session, ignores TERM and holds
// the output open.
const stray = `(setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 0.05; done' &) ; sleep 0.2; exit 0`

func TestNoDescendantIsLeft(t *testing.T) {
	var out bytes.Buffer
	c := sh(stray)
	c.Stdout = &out
	exit, err := sandbox.Run(t.Context(), c)
	if err != nil || exit.Code != 0 {
		t.Fatalf("%v, %v", exit, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatalf("the stray child told no pid: %q", out.String())
	}
	if alive(pid) {
		t.Errorf("process %d is alive", pid)
	}
}

func TestTheDeadlineKillsWhatIgnoresTerm(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("the deadline")
	c := sh(`trap "" TERM; ` + strings.TrimSuffix(stray, "exit 0") + ` while :; do sleep 0.05; done`)
	var out lines
	out.first = func() { cancel(why) }
	c.Stdout, c.Grace = &out, 50*time.Millisecond
	exit, err := sandbox.Run(ctx, c)
	if !errors.Is(err, why) || exit.Signal != syscall.SIGKILL {
		t.Errorf("%v, %v; want KILL and the cause", exit, err)
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(out.String())); err != nil || alive(pid) {
		t.Errorf("stray process %q: %v, alive %v", out.String(), err, alive(pid))
	}
}

func TestTermComesFirst(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := sh(`trap "exit 9" TERM; echo ready; while :; do sleep 0.02; done`)
	c.Stdout, c.Grace = &lines{first: cancel}, time.Minute
	if exit, err := sandbox.Run(ctx, c); !errors.Is(err, context.Canceled) || exit.Code != 9 {
		t.Errorf("%v, %v; want the command's own exit code", exit, err)
	}
}

// lines calls first when something was written.
type lines struct {
	bytes.Buffer
	first func()
}

func (l *lines) Write(p []byte) (int, error) {
	if l.first != nil {
		l.first()
		l.first = nil
	}
	return l.Buffer.Write(p)
}

func TestADoneContextStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("over")
	cancel(why)
	mark := t.TempDir() + "/mark"
	if _, err := sandbox.Run(ctx, sh("touch "+mark)); !errors.Is(err, why) {
		t.Errorf("%v, want the cause", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the command ran")
	}
}

func TestAFloodOfOutputIsTakenAsItComes(t *testing.T) {
	count := &counter{}
	c := sh("head -c 1073741824 /dev/zero")
	c.Stdout = count
	if exit, err := sandbox.Run(t.Context(), c); err != nil || exit.Code != 0 || count.n != 1<<30 {
		t.Errorf("%v, %v, %d bytes", exit, err, count.n)
	}
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

func TestAnOutputThatIsRefusedEndsTheCommand(t *testing.T) {
	why := errors.New("enough")
	c := sh("while :; do echo more; done")
	c.Stdout = refusing{why}
	if _, err := sandbox.Run(t.Context(), c); !errors.Is(err, why) {
		t.Errorf("%v, want the writer's error", err)
	}
}

type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }

// The same promises as pid 1 of a namespace, which is what production is.
func TestInANamespace(t *testing.T) {
	if os.Getenv(envInside) != "" {
		if got := sandbox.Level(); got != sandbox.LevelNamespace {
			t.Errorf("level is %s", got)
		}
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^(TestInANamespace|TestExits|TestNoDescendantIsLeft|TestTheDeadlineKillsWhatIgnoresTerm|TestTermComesFirst)$", "-test.v")
	cmd.Env = append(os.Environ(), envInside+"=1")
	uid := os.Getuid()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Logf("this kernel refuses namespaces to %d: %v", uid, err)
		return
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestTermComesFirst") {
		t.Errorf("as pid 1: %v\n%s", err, out)
	}
}
