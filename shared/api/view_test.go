package api_test

import (
	"testing"
	"time"

	"outpost/shared/api"
	"outpost/shared/task"
)

func TestRanksAndTheBestRun(t *testing.T) {
	ended := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	run := func(n int, state task.State, v task.VerifyState, lines int) task.Run {
		return task.Run{ID: string(rune('a' + n)), Number: n, State: state, EndedAt: ended, Result: &task.Result{State: state, Patch: task.PatchStat{Additions: lines, Bytes: 1}, Verify: task.Verify{State: v}}}
	}
	tk := task.Task{Runs: []task.Run{
		run(1, task.Succeeded, task.VerifyFailed, 1), run(2, task.Succeeded, task.VerifyPassed, 9),
		run(3, task.Failed, task.VerifyNone, 0), run(4, task.Succeeded, task.VerifyPassed, 2), {ID: "q", Number: 5, State: task.Queued},
	}}
	v := api.ViewTask(tk, "p")
	if v.BestRun == nil || *v.BestRun != "e" {
		t.Errorf("best is %v", v.BestRun)
	}
	for i, want := range []int{3, 2, 0, 1, 0} {
		got := 0
		if r := v.Runs[i].Rank; r != nil {
			got = *r
		}
		if got != want {
			t.Errorf("run %d has rank %d, want %d", i+1, got, want)
		}
	}
}

func TestAReasonShowsOnceTheRunHasEnded(t *testing.T) {
	r := task.Run{State: task.Running, Reason: task.ReasonWorkerLost}
	if api.ViewRun(r, nil).Reason != nil {
		t.Error("a running run has a reason")
	}
	r.State, r.Detail = task.Failed, "exit code 137"
	if got := api.ViewRun(r, nil).Reason; got == nil || got.Detail != "exit code 137" {
		t.Errorf("%+v", got)
	}
}
