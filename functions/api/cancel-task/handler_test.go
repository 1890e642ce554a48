package main

import (
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "POST", "/v1/tasks/{id}/cancel", handler{w.Table, c}.handle)
}

func TestEveryRunThatHasNotEndedIsCancelled(t *testing.T) {
	w, route := newWorld(t)
	tk := w.SubmitAs(w.Caller, 3)
	running := w.Running("token")
	for range 2 { // a repeat changes nothing
		var got api.Task
		route.As(w.Caller, apitest.Request{ID: tk.ID}).Into(t, 202, &got)
		for _, r := range got.Runs {
			want := "cancelled"
			if r.ID == running.ID {
				want = "running" // until its worker has stopped
			}
			if r.State != want || r.CancelRequestedAt == nil {
				t.Errorf("run %d: %+v", r.Number, r)
			}
		}
		if got.State != "running" || got.RunCounts.Remaining != 1 || got.RunCounts.Cancelled != 2 {
			t.Errorf("%+v", got.Summary)
		}
	}
	if l := w.Load(); l.Waiting != 0 || l.Running != 1 {
		t.Errorf("load: %+v", l)
	}
}

func TestATaskOfWaitingRunsIsCompletedAtOnce(t *testing.T) {
	w, route := newWorld(t)
	tk := w.SubmitAs(w.Caller, 2)
	var got api.Task
	route.As(w.Caller, apitest.Request{ID: tk.ID}).Into(t, 202, &got)
	if got.State != "completed" || got.Outcome == nil || *got.Outcome != "cancelled" || got.FinishedAt == nil {
		t.Errorf("%+v", got.Summary)
	}
}

func TestACancelThatWasCutOffIsFinishedByARepeat(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	name := enginetest.TableName(t, enginetest.Client(t, nil))
	for calls, whole := 0, false; !whole; calls++ {
		w := apitest.New(t, table.New(enginetest.Client(t, nil), name, c), c, "pro")
		tk := w.SubmitAs(w.Caller, 2)
		cut := settlementtest.After(calls)
		dying := apitest.Serve(t, "POST", "/v1/tasks/{id}/cancel", handler{table.New(enginetest.Client(t, cut), name, c), c}.handle)
		dying.As(w.Caller, apitest.Request{ID: tk.ID})
		whole = !cut.Reached()
		var got api.Task
		apitest.Serve(t, "POST", "/v1/tasks/{id}/cancel", handler{w.Table, c}.handle).As(w.Caller, apitest.Request{ID: tk.ID}).Into(t, 202, &got)
		if got.State != "completed" || *got.Outcome != "cancelled" || got.RunCounts.Cancelled != 2 {
			t.Errorf("cut off after %d calls: %+v", calls, got.Summary)
		}
		if l := w.Load(); l.Waiting != 0 {
			t.Errorf("cut off after %d calls: load %+v", calls, l)
		}
	}
}

func TestStrangersFindNothingAndCancelNothing(t *testing.T) {
	w, route := newWorld(t)
	tk := w.SubmitAs(w.Caller, 1)
	route.HidesFromStrangers(w, tk.ID)
	if r := w.Read(tk.Runs[0].ID); !r.CancelRequestedAt.IsZero() {
		t.Error("a stranger cancelled the run")
	}
}
