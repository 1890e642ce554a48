package main

import (
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/task"
)

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "GET", "/v1/runs/{id}", handler{w.Table}.handle)
}

func TestARunIsShownInEveryState(t *testing.T) {
	w, route := newWorld(t)
	w.SubmitAs(w.Caller, 1)
	q, err := w.Queue(t.Context(), w.Tenant, 1)
	w.Must(err)
	var got api.Run
	read := func() api.Run {
		got = api.Run{}
		route.As(w.Caller, apitest.Request{ID: q[0].Run}).Into(t, 200, &got)
		return got
	}

	if r := read(); r.State != "queued" || r.Attempt != 0 || r.StartedAt != nil || r.Usage != nil {
		t.Errorf("queued: %+v", r)
	}
	run := w.Running("token")
	if r := read(); r.State != "running" || r.Attempt != 1 || r.StartedAt == nil || r.FinishedAt != nil {
		t.Errorf("running: %+v", r)
	}
	cost := 0.5
	_, err = w.StoreResult(t.Context(), w.Tenant, run.ID, 1, "nonce", task.Result{State: task.Succeeded, Patch: task.PatchStat{Files: 1, Additions: 2, Bytes: 9},
		CostUSD: &cost, Verify: task.Verify{State: task.VerifyPassed}, Isolation: "process"})
	w.Must(err)
	_, err = settlement.Settler{Store: w.Table, Clock: w.Clock, Timing: task.DefaultTiming}.Settle(t.Context(), w.Tenant, run.ID, run.Starts)
	w.Must(err)
	r := read()
	if r.State != "succeeded" || r.Reason != nil || r.Rank == nil || *r.Rank != 1 || r.Verify.ExitCode == nil || *r.Usage.CostUSD != 0.5 || r.Patch.Additions != 2 || r.DurationSeconds == nil {
		t.Errorf("succeeded: %+v", r)
	}
}

func TestARunThatFailedSaysWhy(t *testing.T) {
	w, route := newWorld(t)
	w.SubmitAs(w.Caller, 1)
	run := w.Running("token")
	_, err := w.StoreResult(t.Context(), w.Tenant, run.ID, 1, "nonce", task.Result{State: task.Failed, Reason: task.ReasonNoChanges, Verify: task.Verify{State: task.VerifyNone}})
	w.Must(err)
	_, err = settlement.Settler{Store: w.Table, Clock: w.Clock, Timing: task.DefaultTiming}.Settle(t.Context(), w.Tenant, run.ID, run.Starts)
	w.Must(err)
	var got api.Run
	route.As(w.Caller, apitest.Request{ID: run.ID}).Into(t, 200, &got)
	if got.Reason == nil || got.Reason.Code != "no_changes" || got.Reason.Detail != task.ReasonNoChanges.Info().Sentence || got.Rank != nil || got.Patch != nil {
		t.Errorf("%+v", got)
	}
}

func TestStrangersFindNothing(t *testing.T) {
	w, route := newWorld(t)
	route.HidesFromStrangers(w, w.SubmitAs(w.Caller, 1).Runs[0].ID)
}
