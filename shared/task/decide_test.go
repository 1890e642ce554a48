package task_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"outpost/shared/task"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	lost := task.Attempt{Number: 1, End: task.AttemptEnd{Cause: task.ContainerStopped, Detail: "exit 137"}}
	none := task.Attempt{Number: 1, End: task.AttemptEnd{Cause: task.NoCapacity}}
	result := &task.Result{State: task.Failed, Reason: task.ReasonNoChanges, Detail: "nothing"}
	timing := task.DefaultTiming
	for _, c := range []struct {
		why  string
		run  task.Run
		want task.Decision
	}{
		{"terminal is final, whatever else is stored",
			task.Run{State: task.Cancelled, Result: result}, task.Decision{Next: task.NextDone}},
		{"a queued run belongs to the scheduler",
			task.Run{State: task.Queued, CancelRequestedAt: now}, task.Decision{Next: task.NextDone}},
		{"a stored result is never run again, even when its container was lost later",
			task.Run{State: task.Running, Result: result, Attempt: lost},
			task.Decision{Next: task.NextDone, End: task.Failed, Reason: task.ReasonNoChanges, Detail: "nothing"}},
		{"a stored result beats a cancel that came too late",
			task.Run{State: task.Running, Result: result, CancelRequestedAt: now},
			task.Decision{Next: task.NextDone, End: task.Failed, Reason: task.ReasonNoChanges, Detail: "nothing"}},
		{"a cancel ends a lost run instead of trying again",
			task.Run{State: task.Running, CancelRequestedAt: now, Attempt: lost},
			task.Decision{Next: task.NextDone, End: task.Cancelled, Reason: task.ReasonCancelled}},
		{"the deadline spans attempts",
			task.Run{State: task.Running, Deadline: now, Attempt: lost},
			task.Decision{Next: task.NextDone, End: task.TimedOut, Reason: task.ReasonDeadline}},
		{"a lost attempt is tried again",
			task.Run{State: task.Running, Deadline: now.Add(time.Second), Attempt: lost},
			task.Decision{Next: task.NextAgain, InfraRetry: true}},
		{"an attempt that vanished without a word is tried again too",
			task.Run{State: task.Starting, Attempt: task.Attempt{Number: 1}},
			task.Decision{Next: task.NextAgain, InfraRetry: true}},
		{"twice at most",
			task.Run{State: task.Running, InfraRetries: task.MaxInfraRetries, Attempt: lost},
			task.Decision{Next: task.NextDone, End: task.Failed, Reason: task.ReasonWorkerLost, Detail: "exit 137"}},
		{"a launch that keeps failing says so",
			task.Run{State: task.Starting, InfraRetries: task.MaxInfraRetries,
				Attempt: task.Attempt{Number: 3, End: task.AttemptEnd{Cause: task.LaunchFailed, Detail: "no image"}}},
			task.Decision{Next: task.NextDone, End: task.Failed, Reason: task.ReasonLaunchFailed, Detail: "no image"}},
		{"no capacity waits and consumes no retry",
			task.Run{State: task.Starting, NoCapacitySince: now.Add(-time.Minute), Attempt: none},
			task.Decision{Next: task.NextWait, Wait: timing.NoCapacityWait}},
		{"no capacity of an earlier start says nothing about this one, whose launch vanished",
			task.Run{State: task.Starting, Starts: 2, Attempt: none},
			task.Decision{Next: task.NextAgain, InfraRetry: true}},
		{"no capacity for too long goes back to the queue",
			task.Run{State: task.Starting, NoCapacitySince: now.Add(-timing.NoCapacityLimit), Attempt: none},
			task.Decision{Next: task.NextDone, Requeue: true}},
	} {
		if got := task.Decide(c.run, now, timing); got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.why, got, c.want)
		}
	}
}

// Whatever is stored about a run, repeated infrastructure failures end it.
func TestEveryRunEnds(t *testing.T) {
	causes := []task.Cause{task.LaunchFailed, task.ContainerStopped, task.LeaseExpired, task.NoCapacity}
	rapid.Check(t, func(t *rapid.T) {
		run, at := task.Run{State: task.Starting}, now
		for range 100 {
			run.Attempt = task.Attempt{Number: run.Attempt.Number + 1, End: task.AttemptEnd{Cause: rapid.SampledFrom(causes).Draw(t, "cause")}}
			if run.Attempt.End.Cause == task.NoCapacity && run.NoCapacitySince.IsZero() {
				run.NoCapacitySince = at
			}
			d := task.Decide(run, at, task.DefaultTiming)
			if d.Next == task.NextDone {
				if d.End == "" && !d.Requeue {
					t.Fatal("done without an end")
				}
				if d.End != "" && !run.State.CanBecome(d.End) {
					t.Fatalf("%s may not become %s", run.State, d.End)
				}
				return
			}
			if d.InfraRetry {
				run.InfraRetries++
			}
			at = at.Add(d.Wait)
		}
		t.Fatal("a hundred attempts and no end")
	})
}
