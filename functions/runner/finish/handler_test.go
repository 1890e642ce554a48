package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/agent"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/runner"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/token"
)

// bell notes answered tokens, or fails.
type bell struct {
	answered []string
	err      error
}

func (b *bell) Answer(_ context.Context, token string) error {
	if b.err == nil {
		b.answered = append(b.answered, token)
	}
	return b.err
}

type world struct {
	*apitest.World
	*apitest.Route
	bell *bell
	mine token.Claims
}

func newWorld(t *testing.T) world {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	w.SubmitAs(w.Caller, 1)
	b := &bell{}
	return world{w, apitest.Serve(t, "POST", "/runner/v1/finish", handler{w.Table, b}.handle), b,
		token.Claims{Kind: token.Run, Tenant: w.Tenant, Run: w.Running("task token").ID, Attempt: 1, Nonce: "nonce"}}
}

func (w world) finish(claims token.Claims, r task.Result) apitest.Answer {
	w.T.Helper()
	body, err := json.Marshal(runner.FinishRequest{Result: r})
	w.Must(err)
	return w.AsWorker(claims, apitest.Request{Body: string(body)})
}

func success() task.Result {
	cost := 0.25
	return task.Result{State: task.Succeeded, Isolation: "process", Patch: task.PatchStat{Files: 1, Additions: 2, Deletions: 3, Bytes: 4},
		Usage: agent.Usage{InputTokens: 5, CachedInputTokens: 1, OutputTokens: 6}, CostUSD: &cost, Verify: task.Verify{State: task.VerifyPassed},
		Artifacts: []task.Artifact{{Name: task.ArtifactPatch, Size: 4, SHA256: strings.Repeat("ab", 32)}}}
}

func TestAResultIsStoredWholeAndOnceThenTheTokenIsAnswered(t *testing.T) {
	w := newWorld(t)
	for range 2 { // the first answer may be lost
		w.finish(w.mine, success()).Into(t, 200, nil)
	}
	other := success()
	other.Patch.Additions = 99
	w.finish(w.mine, other)
	stored := w.Read(w.mine.Run).Result
	got, err := json.Marshal(stored)
	w.Must(err)
	want, err := json.Marshal(success())
	w.Must(err)
	if string(got) != string(want) {
		t.Errorf("stored %s, want %s", got, want)
	}
	if len(w.bell.answered) < 2 || slices.ContainsFunc(w.bell.answered, func(s string) bool { return s != "task token" }) {
		t.Errorf("answered %v", w.bell.answered)
	}
}

func TestAResultStaysWhenTheTokenCannotBeAnswered(t *testing.T) {
	w := newWorld(t)
	w.bell.err = errors.New("the state machine is away")
	if p := w.finish(w.mine, success()).Refused(t, problem.Internal, ""); !p.Retryable {
		t.Error("the worker is not told to try again")
	}
	if w.Read(w.mine.Run).Result == nil {
		t.Error("the result is lost")
	}
	w.bell.err = nil
	w.finish(w.mine, success()).Into(t, 200, nil)
	if !slices.Equal(w.bell.answered, []string{"task token"}) {
		t.Errorf("answered %v", w.bell.answered)
	}
}

func TestAResultCountsEvenIfACancelCameFirst(t *testing.T) {
	w := newWorld(t)
	_, err := w.RequestCancel(t.Context(), w.Tenant, w.mine.Run, table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now()}})
	w.Must(err)
	w.finish(w.mine, success()).Into(t, 200, nil)
}

func TestWhoIsNotTheAttemptThatHoldsTheRunIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, change := range []func(*token.Claims){
		func(c *token.Claims) { c.Nonce = "other" }, func(c *token.Claims) { c.Attempt = 2 },
		func(c *token.Claims) { c.Tenant = w.Stranger("pro").Tenant }, func(c *token.Claims) { c.Run = "run_x" },
	} {
		other := w.mine
		change(&other)
		w.finish(other, success()).Refused(t, problem.AttemptSuperseded, "")
	}
	_, err := w.EndAttempt(t.Context(), w.Tenant, w.mine.Run, 1, task.AttemptEnd{Cause: task.LeaseExpired, At: w.Read(w.mine.Run).LeaseUntil})
	w.Must(err)
	w.finish(w.mine, success()).Refused(t, problem.AttemptSuperseded, "")
	if w.Read(w.mine.Run).Result != nil || len(w.bell.answered) != 0 {
		t.Error("a result of somebody else was stored")
	}
}

func TestResultsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		change func(*task.Result)
		field  string
		why    string
	}{
		{func(r *task.Result) { r.State = task.Running }, "/result/state", "no end"},
		{func(r *task.Result) { r.State = "" }, "/result/state", "no state"},
		{func(r *task.Result) { r.State = task.Failed }, "/result/reason", "a failure without a reason"},
		{func(r *task.Result) { r.Reason = task.ReasonNoChanges }, "/result/reason", "a success with a reason"},
		{func(r *task.Result) { r.State, r.Reason = task.Failed, "bad_luck" }, "/result/reason", "an unknown reason"},
		{func(r *task.Result) { r.Detail = strings.Repeat("x", 2001) }, "/result/detail", "too long"},
		{func(r *task.Result) { r.Usage.InputTokens = -1 }, "/result/usage/input_tokens", "negative"},
		{func(r *task.Result) { *r.CostUSD = -0.1 }, "/result/cost_usd", "negative"},
		{func(r *task.Result) { r.Verify.State = "maybe" }, "/result/verify/state", "unknown"},
		{func(r *task.Result) { r.Artifacts[0].Name = "core" }, "/result/artifacts/0/name", "not on the list"},
		{func(r *task.Result) { r.Artifacts = append(r.Artifacts, r.Artifacts[0]) }, "/result/artifacts/1/name", "twice"},
	} {
		r := success()
		c.change(&r)
		if p := w.finish(w.mine, r).Refused(t, problem.ValidationFailed, c.field); t.Failed() {
			t.Fatalf("%s: %+v", c.why, p)
		}
	}
	if w.Read(w.mine.Run).Result != nil {
		t.Error("something refused was stored")
	}
}
