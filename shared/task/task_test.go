package task_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"outpost/shared/task"
)

var states = []task.State{task.Queued, task.Starting, task.Running, task.Succeeded, task.Failed, task.TimedOut, task.Cancelled}

func TestTerminalStatesNeverChange(t *testing.T) {
	for _, from := range states {
		for _, to := range states {
			if from.Terminal() && from.CanBecome(to) {
				t.Errorf("%s may become %s", from, to)
			}
		}
		if from.Terminal() && from.InFlight() {
			t.Errorf("%s is terminal and in flight", from)
		}
	}
}

func TestOnlyARunningRunSucceeds(t *testing.T) {
	for _, from := range states {
		if got, want := from.CanBecome(task.Succeeded), from == task.Running; got != want {
			t.Errorf("%s may become succeeded: %v", from, got)
		}
	}
}

func TestTallyNamesTheOutcomeWhenTheLastRunEnds(t *testing.T) {
	ends := []task.State{task.Succeeded, task.Failed, task.TimedOut, task.Cancelled}
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.SliceOfN(rapid.SampledFrom(ends), 1, task.MaxRuns).Draw(t, "ends")
		tally := task.Tally{Total: len(drawn), Remaining: len(drawn)}
		for i, s := range drawn {
			if tally.Outcome() != "" {
				t.Fatalf("an outcome with %d runs to go", len(drawn)-i)
			}
			tally = tally.After(s)
		}
		want := task.OutcomeFailed
		if slices.Contains(drawn, task.Succeeded) {
			want = task.OutcomeSucceeded
		} else if !slices.ContainsFunc(drawn, func(s task.State) bool { return s != task.Cancelled }) {
			want = task.OutcomeCancelled
		}
		if got := tally.Outcome(); got != want {
			t.Fatalf("%v: outcome %s, want %s", drawn, got, want)
		}
	})
}

func TestRanked(t *testing.T) {
	usd := func(f float64) *float64 { return &f }
	run := func(n int, s task.State, v task.VerifyState, lines int, cost *float64) task.Run {
		return task.Run{ID: string(rune('a' + n)), Number: n, State: s,
			Result: &task.Result{Verify: task.Verify{State: v}, Patch: task.PatchStat{Additions: lines}, CostUSD: cost}}
	}
	for _, c := range []struct {
		why  string
		runs []task.Run
		want []string
	}{
		{"a failed verification ranks below none, none below passed",
			[]task.Run{run(0, task.Succeeded, task.VerifyFailed, 1, nil), run(1, task.Succeeded, task.VerifyNone, 1, nil), run(2, task.Succeeded, task.VerifyPassed, 9, nil)},
			[]string{"c", "b", "a"}},
		{"the smaller patch wins among equals",
			[]task.Run{run(0, task.Succeeded, task.VerifyPassed, 5, usd(0.1)), run(1, task.Succeeded, task.VerifyPassed, 4, usd(0.9))},
			[]string{"b", "a"}},
		{"then the cheaper run; an unknown price comes last",
			[]task.Run{run(0, task.Succeeded, task.VerifyPassed, 4, nil), run(1, task.Succeeded, task.VerifyPassed, 4, usd(0.2)), run(2, task.Succeeded, task.VerifyPassed, 4, usd(0.1))},
			[]string{"c", "b", "a"}},
		{"then the lower number", []task.Run{run(1, task.Succeeded, task.VerifyPassed, 4, nil), run(0, task.Succeeded, task.VerifyPassed, 4, nil)}, []string{"a", "b"}},
		{"runs that did not succeed have no rank", []task.Run{run(0, task.Failed, task.VerifyNone, 1, nil), {ID: "z", State: task.Running}}, []string{}},
	} {
		if got := task.Ranked(c.runs); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.why, got, c.want)
		}
	}
}

func TestEveryReasonIsWholeAndUnique(t *testing.T) {
	seen := map[task.Reason]bool{}
	for _, r := range task.Reasons() {
		if seen[r.Code] || r.Code == "" || r.Sentence == "" || r.Fixer == "" {
			t.Errorf("reason %q stands twice or lacks a part", r.Code)
		}
		seen[r.Code] = true
		if !r.Code.Known() {
			t.Errorf("reason %q is not known", r.Code)
		}
	}
	if task.Reason("made_up").Known() {
		t.Error("an unknown reason is known")
	}
}

func TestEventsOfALaterAttemptFollow(t *testing.T) {
	if a, b := task.EventSeq(1, task.MaxRunEvents+1), task.EventSeq(2, 1); a >= b {
		t.Errorf("event %d of attempt 1 is not before event %d of attempt 2", a, b)
	}
	if got := task.EventAttempt(task.EventSeq(3, 17)); got != 3 {
		t.Errorf("attempt of an event is %d, want 3", got)
	}
}

func TestWhenTheReaperLooksAfterARun(t *testing.T) {
	lease := time.Date(2026, 11, 23, 12, 5, 0, 0, time.UTC)
	early, late := lease.Add(-time.Minute), lease.Add(time.Minute)
	for _, c := range []struct {
		why     string
		attempt task.Attempt
		want    time.Time
	}{
		{"no attempt was made yet", task.Attempt{}, lease},
		{"nobody has claimed it", task.Attempt{Number: 1, LookAt: early}, early},
		{"its lease ends before", task.Attempt{Number: 1, LookAt: late}, lease},
		{"it was claimed", task.Attempt{Number: 1, LookAt: early, Nonce: "n"}, lease},
		{"it has ended", task.Attempt{Number: 1, LookAt: early, End: task.AttemptEnd{Cause: task.NoCapacity}}, lease},
		{"an earlier release has stored it", task.Attempt{Number: 1}, lease},
	} {
		if got := (task.Run{State: task.Starting, LeaseUntil: lease, Attempt: c.attempt}).DueAt(); !got.Equal(c.want) {
			t.Errorf("%s: due at %s, want %s", c.why, got, c.want)
		}
	}
}
