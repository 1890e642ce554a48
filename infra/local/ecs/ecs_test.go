package ecs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"outpost/infra/local/ecs"
	"outpost/infra/local/sdktest"
	"outpost/shared/clock"
	"outpost/shared/fleet"
	"outpost/shared/id"
)

const cluster = "arn:aws:ecs:us-east-1:000000000000:cluster/test"

var (
	tenantID = id.New(id.Tenant, clock.System.Now())
	runID    = id.ForRun(id.New(id.Task, clock.System.Now()), 1)
)

// TestMain lets the test binary be the containers' program.
func TestMain(m *testing.M) {
	switch os.Getenv("PROGRAM") {
	case "exit":
		os.Exit(7)
	case "stubborn": // leaves a child of its own session behind, ignores TERM
		signal.Ignore(syscall.SIGTERM)
		stray := exec.Command("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
		stray.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		stray.Env = []string{"PATH=" + os.Getenv("PATH"), "MARK=" + os.Getenv("MARK"), "HOME=" + os.Getenv("TMPDIR") + "/home"}
		if err := stray.Start(); err != nil {
			panic(err)
		}
		if err := os.WriteFile(os.Getenv("READY"), []byte(strings.Join(os.Environ(), "\n")), 0o600); err != nil {
			panic(err)
		}
		cmd := exec.Command("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
		cmd.Env = stray.Env
		_ = cmd.Run()
		os.Exit(0)
	case "loud": // says more than is kept, and leaves a folder that nobody may write to
		line := strings.Repeat("x", 1<<16)
		for range 2 * ecs.MaxLog >> 16 {
			fmt.Fprint(os.Stdout, line)
		}
		if err := errors.Join(os.MkdirAll("cache/module", 0o700), os.WriteFile("cache/module/file", nil, 0o400), os.Chmod("cache/module", 0o500)); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type world struct {
	*awsecs.Client
	*ecs.Service
	events chan fleet.Stopped
	stop   func()
}

func open(t *testing.T, dir string, env ...string) *world {
	t.Helper()
	return openAt(t, clock.System, dir, env...)
}

func openAt(t *testing.T, at clock.Clock, dir string, env ...string) *world {
	t.Helper()
	w := &world{events: make(chan fleet.Stopped, 9)}
	ctx, cancel := context.WithCancel(t.Context())
	failures := 1
	s, err := ecs.Open(ctx, ecs.Options{Cluster: cluster, Dir: dir, StopTimeout: 100 * time.Millisecond, Clock: at, Log: t.Logf,
		Families: map[string]ecs.Definition{"worker": {Path: os.Args[0], Env: append(env, "PATH="+os.Getenv("PATH"))}},
		Deliver: func(_ context.Context, event []byte) error {
			if failures--; failures >= 0 {
				return fmt.Errorf("the first delivery is lost")
			}
			stopped, err := fleet.ParseStopped(event)
			if err != nil {
				t.Errorf("%v: %s", err, event)
			}
			w.events <- stopped
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	w.Service, w.stop = s, func() { cancel(); s.Close() }
	t.Cleanup(w.stop)
	w.Client = awsecs.NewFromConfig(sdktest.Config(t, s.Handler()))
	return w
}

func request(token string) *awsecs.RunTaskInput {
	c, family, group, by, name, key, value := cluster, "worker", tenantID+":"+runID+":1", runID, "worker", "OVERRIDE", "yes"
	return &awsecs.RunTaskInput{Cluster: &c, TaskDefinition: &family, ClientToken: &token, Group: &group, StartedBy: &by,
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: &name, Environment: []types.KeyValuePair{{Name: &key, Value: &value}}}}}}
}

func (w *world) run(t *testing.T, token string) string {
	t.Helper()
	out, err := w.RunTask(t.Context(), request(token))
	if err != nil || len(out.Tasks) != 1 {
		t.Fatalf("run: %v, %+v", err, out)
	}
	return *out.Tasks[0].TaskArn
}

func (w *world) status(t *testing.T, arn string) types.Task {
	t.Helper()
	c := cluster
	out, err := w.DescribeTasks(t.Context(), &awsecs.DescribeTasksInput{Cluster: &c, Tasks: []string{arn}})
	if err != nil || len(out.Tasks) != 1 {
		t.Fatalf("describe: %v, %+v", err, out)
	}
	return out.Tasks[0]
}

func TestATasksEndIsToldUntilSomebodyHears(t *testing.T) {
	w := open(t, t.TempDir(), "PROGRAM=exit")
	arn := w.run(t, "t1")
	e := <-w.events
	if e.Tenant != tenantID || e.Run != runID || e.Attempt != 1 || e.ExitCode != 7 {
		t.Errorf("event: %+v", e)
	}
	if got := w.status(t, arn); *got.LastStatus != "STOPPED" || *got.Containers[0].ExitCode != 7 {
		t.Errorf("task: %+v", got)
	}
	if again := w.run(t, "t1"); again != arn {
		t.Errorf("the same client token ran a second task")
	}
}

// marked lists the processes that carry a mark in their environment.
func marked(t *testing.T, mark string) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, d := range dirs {
		if env, err := os.ReadFile(d + "/environ"); err == nil && strings.Contains(string(env), "MARK="+mark) {
			found = append(found, d)
		}
	}
	return found
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestATaskTakesItsWholeTreeWithIt(t *testing.T) {
	t.Setenv("INHERITED", "no")
	for _, kernel := range []string{"that has namespaces", "that refuses them"} {
		for _, end := range []string{"StopTask", "kill -9", "the end of Outpost"} {
			t.Run(end+" on a kernel "+kernel, func(t *testing.T) {
				if kernel == "that refuses them" {
					ecs.RefuseNamespaces(t)
				}
				wholeTree(t, end)
			})
		}
	}
}

func wholeTree(t *testing.T, end string) {
	mark, dir, data := fmt.Sprintf("m%d", time.Now().UnixNano()), t.TempDir(), t.TempDir()
	ready := filepath.Join(dir, "ready")
	w := open(t, data, "PROGRAM=stubborn", "MARK="+mark, "READY="+ready)
	arn := w.run(t, "t2")
	var env []byte
	eventually(t, "the program starts", func() bool { env, _ = os.ReadFile(ready); return len(env) > 0 })
	if strings.Contains(string(env), "INHERITED") || !strings.Contains(string(env), "OVERRIDE=yes") {
		t.Errorf("the environment is %s", env)
	}
	eventually(t, "the program's children run", func() bool { return len(marked(t, mark)) >= 3 })
	switch end {
	case "StopTask":
		c, reason := cluster, "because"
		out, err := w.StopTask(t.Context(), &awsecs.StopTaskInput{Cluster: &c, Task: &arn, Reason: &reason})
		if err != nil || *out.Task.LastStatus != "RUNNING" || *out.Task.DesiredStatus != "STOPPED" {
			t.Fatalf("%v, %+v", err, out)
		}
		if e := <-w.events; e.ExitCode != 137 || !strings.Contains(e.Reason, "because") {
			t.Errorf("event: %+v", e)
		}
	case "kill -9":
		if !w.Kill(arn) {
			t.Fatal("there was nothing to kill")
		}
		if e := <-w.events; e.ExitCode != 137 {
			t.Errorf("event: %+v", e)
		}
	default:
		w.stop()
		w = open(t, data, "PROGRAM=exit")
		if e := <-w.events; e.ExitCode != 137 {
			t.Errorf("event after the restart: %+v", e)
		}
		if got := w.status(t, arn); *got.LastStatus != "STOPPED" {
			t.Errorf("after the restart the task is %s", *got.LastStatus)
		}
	}
	eventually(t, "nothing is left after "+end, func() bool { return len(marked(t, mark)) == 0 })
}

// Without namespaces a crash of Outpost may leave an agent's children behind.
func TestOpenEndsWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	stray := exec.Command("sleep", "600")
	stray.Env = []string{"TMPDIR=" + filepath.Join(dir, "scratch", "worker-1", "tmp"), "PATH=" + os.Getenv("PATH")}
	other := exec.Command("sleep", "600")
	other.Env = []string{"TMPDIR=" + dir, "PWD=" + filepath.Join(dir, "scratch"), "PATH=" + os.Getenv("PATH")}
	for _, cmd := range []*exec.Cmd{stray, other} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir, "PROGRAM=exit")
	_ = stray.Wait() // it never returns for one that lives
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("a stranger was killed: %v", err)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
}
