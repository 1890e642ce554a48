package main

import (
	"context"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/artifact"
	"outpost/shared/clock"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/task"
)

// pen signs every key. What S3 itself does is under test in shared/artifact.
type pen struct{}

func (pen) PresignGet(_ context.Context, key string) (string, error) { return "https://s3/" + key, nil }

func newWorld(t *testing.T) (*apitest.World, *apitest.Route) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	return w, apitest.Serve(t, "GET", "/v1/runs/{id}/artifacts", handler{w.Table, pen{}, c}.handle)
}

func TestArtifactsAreListedOnceTheRunHasEnded(t *testing.T) {
	w, route := newWorld(t)
	w.SubmitAs(w.Caller, 1)
	run := w.Running("token")
	list := func() (page api.Page[entry]) {
		route.As(w.Caller, apitest.Request{ID: run.ID}).Into(t, 200, &page)
		return page
	}
	if p := list(); len(p.Data) != 0 {
		t.Errorf("while it runs: %+v", p)
	}
	sum := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	_, err := w.StoreResult(t.Context(), w.Tenant, run.ID, 1, "nonce", task.Result{State: task.Failed, Reason: task.ReasonAgentFailed,
		Verify: task.Verify{State: task.VerifyNone}, Artifacts: []task.Artifact{{Name: task.ArtifactLog, Size: 7, SHA256: sum}}})
	w.Must(err)
	_, err = settlement.Settler{Store: w.Table, Clock: w.Clock, Timing: task.DefaultTiming}.Settle(t.Context(), w.Tenant, run.ID, run.Starts)
	w.Must(err)
	p := list()
	want := entry{task.Artifact{Name: task.ArtifactLog, Size: 7, SHA256: sum}, "https://s3/" + artifact.Key(w.Tenant, run.ID, 1, task.ArtifactLog), "2026-11-23T12:15:00Z"}
	if len(p.Data) != 1 || p.Data[0] != want || p.HasMore {
		t.Errorf("%+v", p)
	}
}

func TestStrangersFindNothing(t *testing.T) {
	w, route := newWorld(t)
	route.HidesFromStrangers(w, w.SubmitAs(w.Caller, 1).Runs[0].ID)
}
