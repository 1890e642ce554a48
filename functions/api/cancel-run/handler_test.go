package main

import (
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/task"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "POST", "/v1/runs/{id}/cancel", handler{w.Table, c}.handle)
}

func TestAQueuedRunEndsAtOnceAndGivesBackItsPlace(t *testing.T) {
	w, route := newWorld(t)
	tk := w.SubmitAs(w.Caller, 1)
	for range 2 { // a repeat changes nothing
		var got api.Run
		route.As(w.Caller, apitest.Request{ID: tk.Runs[0].ID}).Into(t, 202, &got)
		if got.State != "cancelled" || got.Reason == nil || got.Reason.Code != "cancelled" || got.CancelRequestedAt == nil {
			t.Errorf("%+v", got)
		}
	}
	if l := w.Load(); l.Waiting != 0 || l.Running != 0 {
		t.Errorf("load: %+v", l)
	}
	now, err := w.Task(t.Context(), w.Tenant, tk.ID)
	w.Must(err)
	if now.State != task.Completed || now.Outcome != task.OutcomeCancelled {
		t.Errorf("task: %s %s", now.State, now.Outcome)
	}
}

func TestARunningRunOnlyShowsTheRequest(t *testing.T) {
	w, route := newWorld(t)
	w.SubmitAs(w.Caller, 1)
	run := w.Running("token")
	var got api.Run
	route.As(w.Caller, apitest.Request{ID: run.ID, Body: "{}"}).Into(t, 202, &got)
	if got.State != "running" || got.CancelRequestedAt == nil || got.FinishedAt != nil {
		t.Errorf("%+v", got)
	}
	if l := w.Load(); l.Running != 1 {
		t.Errorf("load: %+v", l)
	}
}

func TestARunThatHasEndedStaysAsItIs(t *testing.T) {
	w, route := newWorld(t)
	w.SubmitAs(w.Caller, 1)
	run := w.Running("token")
	w.Finish(run)
	_, err := settlement.Settler{Store: w.Table, Clock: w.Clock, Timing: task.DefaultTiming}.Settle(t.Context(), w.Tenant, run.ID, run.Starts)
	w.Must(err)
	var got api.Run
	route.As(w.Caller, apitest.Request{ID: run.ID}).Into(t, 202, &got)
	if got.State != "succeeded" || got.CancelRequestedAt != nil || got.Rank == nil {
		t.Errorf("%+v", got)
	}
}

func TestACancelIsAudited(t *testing.T) {
	w, route := newWorld(t)
	tk := w.SubmitAs(w.Caller, 1)
	a := route.As(w.Caller, apitest.Request{ID: tk.Runs[0].ID})
	trail, err := w.AuditTrail(t.Context(), w.Tenant, 10)
	w.Must(err)
	for _, e := range trail {
		if e.Action == "run.cancel" && e.Target == tk.Runs[0].ID && e.Actor == w.Caller.KeyID && e.RequestID == a.Header["X-Request-Id"] && e.Address == "198.51.100.7" {
			return
		}
	}
	t.Errorf("the trail is %+v", trail)
}

func TestARevokedKeyCancelsNothing(t *testing.T) {
	w, route := newWorld(t)
	run := w.SubmitAs(w.Caller, 1).Runs[0].ID
	w.Revoke(w.Caller)
	route.As(w.Caller, apitest.Request{ID: run}).Refused(t, problem.Unauthorized, "")
	if r := w.Read(run); !r.CancelRequestedAt.IsZero() || r.State != task.Queued {
		t.Errorf("the run is %s, asked to end at %s", r.State, r.CancelRequestedAt)
	}
}

func TestStrangersFindNothingAndCancelNothing(t *testing.T) {
	w, route := newWorld(t)
	run := w.SubmitAs(w.Caller, 1).Runs[0].ID
	route.HidesFromStrangers(w, run)
	if r := w.Read(run); !r.CancelRequestedAt.IsZero() {
		t.Error("a stranger cancelled the run")
	}
}
