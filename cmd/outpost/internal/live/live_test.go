package live

import (
	"strings"
	"testing"
	"time"

	"outpost/cmd/outpost/internal/client"
	"outpost/shared/clock"
	"outpost/shared/task"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestARunsLineSaysHowItStands(t *testing.T) {
	seconds := 4.25
	for _, c := range []struct {
		why  string
		run  client.Run
		want string
	}{
		{"time runs while it works", client.Run{State: task.Running, StartedAt: now.Add(-90 * time.Second)}, "running 90 tool: edit"},
		{"a service whose clock is ahead does not make it negative", client.Run{State: task.Running, StartedAt: now.Add(time.Minute)}, "running 0 tool: edit"},
		{"a second attempt is no secret", client.Run{State: task.Starting, Attempt: 2}, "starting (attempt 2) tool: edit"},
		{"a cancel is on its way", client.Run{State: task.Running, StartedAt: now, CancelRequestedAt: now}, "cancelling 0 tool: edit"},
		{"an end has its exact time and size", client.Run{State: task.Succeeded, DurationSeconds: &seconds, CancelRequestedAt: now,
			Patch: &client.Patch{Files: 2, Additions: 5, Deletions: 1}}, "succeeded 4.2 +5 -1 in 2 files"},
		{"an end that is no success has its reason", client.Run{State: task.TimedOut, DurationSeconds: &seconds,
			Reason: &client.Reason{Code: task.ReasonDeadline}}, "timed_out 4.2 The task's timeout passed."},
	} {
		c.run.ID, c.run.Number, c.run.Agent, c.run.Model = "run_1", 1, "claude", "m"
		s := &screen{clock: clock.NewManual(now), size: func() (int, int) { return 200, 50 }, now: map[string]string{}}
		s.Event(client.Event{Run: "run_1", Kind: "tool", Text: "edit"})
		s.task = client.Task{ID: "tsk_1", Runs: []client.Run{c.run}}
		picture := s.picture()
		if got := strings.Join(strings.Fields(picture[len(picture)-1]), " "); got != "1 claude m "+c.want {
			t.Errorf("%s: got %q", c.why, got)
		}
	}
}

func TestAPictureFitsItsTerminal(t *testing.T) {
	for _, height := range []int{1, 2, 3, 10, 22, 23, 24, 100} {
		s := &screen{clock: clock.NewManual(now), size: func() (int, int) { return 20, height }, now: map[string]string{}}
		s.task = client.Task{ID: "tsk_" + strings.Repeat("x", 40), Runs: make([]client.Run, 20)}
		picture := s.picture()
		if want := min(22, max(height-1, 2)); len(picture) != want {
			t.Errorf("%d lines on a terminal of %d", len(picture), height)
		}
		for _, line := range picture {
			if len([]rune(line)) > 20 {
				t.Errorf("wider than the terminal: %q", line)
			}
		}
	}
}
