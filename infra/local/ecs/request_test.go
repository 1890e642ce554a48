package ecs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"outpost/infra/local/ecs"
	"outpost/shared/clock"
)

func TestAClientTokenStandsForOneRequest(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, "PROGRAM=exit")
	arn := w.run(t, "t1")
	<-w.events
	w.stop()
	w = open(t, dir, "PROGRAM=exit") // it is remembered
	if again := w.run(t, "t1"); again != arn {
		t.Errorf("the same request ran %s beside %s", again, arn)
	}
	other, group := request("t1"), "another"
	other.Group = &group
	var conflict *types.ConflictException
	if _, err := w.RunTask(t.Context(), other); !errors.As(err, &conflict) || len(conflict.ResourceIds) != 1 || conflict.ResourceIds[0] != arn {
		t.Errorf("another request under the same token: %v", err)
	}
}

func TestRequestsThatRunNothing(t *testing.T) {
	w := open(t, t.TempDir(), "PROGRAM=exit")
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		why    string
		change func(*awsecs.RunTaskInput)
		code   string
	}{
		{"another cluster", func(in *awsecs.RunTaskInput) { in.Cluster = text("other") }, "ClusterNotFoundException"},
		{"an unknown family", func(in *awsecs.RunTaskInput) { in.TaskDefinition = text("other") }, "ClientException"},
		{"two tasks", func(in *awsecs.RunTaskInput) { in.Count = new(int32); *in.Count = 2 }, "InvalidParameterException"},
		{"an override of another container", func(in *awsecs.RunTaskInput) { in.Overrides.ContainerOverrides[0].Name = text("other") }, "InvalidParameterException"},
		{"an override of the command", func(in *awsecs.RunTaskInput) { in.Overrides.ContainerOverrides[0].Command = []string{"sh"} }, "InvalidParameterException"},
		{"overrides that are long with their JSON", func(in *awsecs.RunTaskInput) {
			in.Overrides.ContainerOverrides[0].Environment[0].Value = text(strings.Repeat("x", 8150))
		}, "InvalidParameterException"},
	} {
		in := request("t-" + c.code)
		c.change(in)
		if _, err := w.RunTask(t.Context(), in); err == nil || !strings.Contains(err.Error(), c.code) {
			t.Errorf("%s: %v", c.why, err)
		}
	}
	if running := w.Running(); len(running) != 0 {
		t.Errorf("%v runs", running)
	}
	unknown := []string{"arn:none"}
	out, err := w.DescribeTasks(t.Context(), &awsecs.DescribeTasksInput{Cluster: text(cluster), Tasks: unknown})
	if err != nil || len(out.Failures) != 1 || *out.Failures[0].Reason != "MISSING" {
		t.Errorf("an unknown task: %v, %+v", err, out)
	}
	var invalid *types.InvalidParameterException
	if _, err := w.StopTask(t.Context(), &awsecs.StopTaskInput{Cluster: text(cluster), Task: &unknown[0]}); !errors.As(err, &invalid) {
		t.Errorf("stopping an unknown task: %v", err)
	}
}

func TestAFloodOfOutputIsCutAndTheScratchFolderCleared(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, "PROGRAM=loud")
	arn := w.run(t, "t1")
	if e := <-w.events; e.ExitCode != 0 {
		t.Errorf("event: %+v", e)
	}
	w.stop()
	log, err := os.Stat(filepath.Join(dir, arn[strings.LastIndex(arn, "/")+1:]+".log"))
	if err != nil || log.Size() != ecs.MaxLog {
		t.Errorf("the log: %v, %v", log, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "scratch")); err != nil || len(left) != 0 {
		t.Errorf("left in the scratch folder: %v, %v", left, err)
	}
}

func TestATaskIsForgottenADayAfterItsEnd(t *testing.T) {
	dir, at := t.TempDir(), clock.NewManual(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	w := openAt(t, at, dir, "PROGRAM=exit")
	delivered := func() string {
		arn := w.run(t, "t1")
		for told := false; !told; { // the first delivery fails, and its repeat waits for the clock
			select {
			case <-w.events:
				told = true
			default:
				if at.Waiters() > 0 {
					at.Advance(time.Second)
				}
			}
		}
		return arn
	}
	first := delivered()
	w.stop() // the end of the delivery is kept
	w = openAt(t, at, dir, "PROGRAM=exit")
	at.Advance(23 * time.Hour)
	if again := w.run(t, "t1"); again != first {
		t.Error("within a day the token ran a second task")
	}
	at.Advance(2 * time.Hour)
	if again := delivered(); again == first {
		t.Error("after a day the token still stands for the first task")
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*.log")); err != nil || len(files) != 1 {
		t.Errorf("logs: %v, %v", files, err)
	}
}
