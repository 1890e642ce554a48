package id_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"outpost/shared/id"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestARunNamesItsTaskAndNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := id.New(id.Task, at)
		n := rapid.IntRange(1, id.MaxRuns).Draw(t, "n")
		gotTask, gotN, err := id.SplitRun(id.ForRun(task, n))
		if err != nil || gotTask != task || gotN != n {
			t.Fatalf("split of run %d of %s: %s, %d, %v", n, task, gotTask, gotN, err)
		}
	})
}

func TestIdsSortByTime(t *testing.T) {
	if a, b := id.New(id.Task, at), id.New(id.Task, at.Add(time.Millisecond)); a >= b {
		t.Errorf("%s was made before %s and sorts behind it", a, b)
	}
}

func TestOnlyCanonicalIdsAreAccepted(t *testing.T) {
	good := id.New(id.Task, at)
	run := id.ForRun(good, 7)
	if _, err := id.ULID(id.Task, good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ s, why string }{
		{"", "empty"},
		{"tsk_", "no ULID"},
		{strings.ToLower(good), "lower case would be a second name of the same thing"},
		{good + "0", "too long"},
		{run, "another kind"},
		{"tsk_" + strings.Repeat("Z", 26), "above the largest ULID"},
	} {
		if _, err := id.ULID(id.Task, c.s); err == nil {
			t.Errorf("task id %q was accepted: %s", c.s, c.why)
		}
	}
	for _, c := range []struct{ s, why string }{
		{"", "empty"},
		{run[:len(run)-1], "one digit"},
		{run[:len(run)-2] + "00", "numbers start at 1"},
		{run[:len(run)-2] + "+7", "a sign"},
		{strings.ToLower(run), "lower case"},
		{good, "a task"},
	} {
		if _, _, err := id.SplitRun(c.s); err == nil {
			t.Errorf("run id %q was accepted: %s", c.s, c.why)
		}
	}
}

func TestAnIdTellsWhenItWasMade(t *testing.T) {
	for _, s := range []string{id.New(id.Audit, at), id.Derived(id.Audit, at, "x")} {
		if got := id.Time(s); !got.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("%s was made at %s", s, got)
		}
	}
	for _, s := range []string{"", "aud_", "aud_nonsense", "nothing"} {
		if !id.Time(s).IsZero() {
			t.Errorf("%q was made at %s", s, id.Time(s))
		}
	}
}
