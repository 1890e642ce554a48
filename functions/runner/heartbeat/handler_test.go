package main

import (
	"testing"
	"time"

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

func TestAHeartbeatKeepsTheLeaseAndTellsOfACancel(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	route := apitest.Serve(t, "POST", "/runner/v1/heartbeat", handler{w.Table, c, task.DefaultTiming}.handle)
	w.SubmitAs(w.Caller, 1)
	r := w.Running("token")
	mine := token.Claims{Kind: token.Run, Tenant: w.Tenant, Run: r.ID, Attempt: 1, Nonce: "nonce"}
	beat := func() (got runner.HeartbeatResponse) {
		route.AsWorker(mine, apitest.Request{Body: `{"phase":"agent"}`}).Into(t, 200, &got)
		return got
	}
	route.AsWorker(mine, apitest.Request{Body: `{"phase":"agent","usage":{"input_tokens":7,"cached_input_tokens":2,"output_tokens":1},"cost_usd":0.5}`}).Into(t, 200, nil)
	if s := w.Read(r.ID).Attempt.Spend; s.Usage != (agent.Usage{InputTokens: 7, CachedInputTokens: 2, OutputTokens: 1}) || *s.CostUSD != 0.5 {
		t.Errorf("spent %+v", s)
	}
	c.Advance(time.Minute)
	if beat().Cancel {
		t.Error("nobody cancelled")
	}
	if until := w.Read(r.ID).LeaseUntil; !until.Equal(c.Now().Add(task.DefaultTiming.HeartbeatLease)) {
		t.Errorf("the lease ends at %s", until)
	}
	_, err := w.RequestCancel(t.Context(), w.Tenant, r.ID, table.By{Audit: audit.Event{ID: id.New(id.Audit, c.Now()), At: c.Now()}})
	w.Must(err)
	if !beat().Cancel {
		t.Error("the worker is not told to stop")
	}
	for why, change := range map[string]func(*token.Claims){
		"another nonce":   func(c *token.Claims) { c.Nonce = "other" },
		"another attempt": func(c *token.Claims) { c.Attempt = 2 },
		"another tenant":  func(c *token.Claims) { c.Tenant = w.Stranger("pro").Tenant },
		"another run":     func(c *token.Claims) { c.Run = id.ForRun(id.New(id.Task, settlementtest.Start), 1) },
	} {
		other := mine
		change(&other)
		if p := route.AsWorker(other, apitest.Request{Body: `{"phase":"agent"}`}).Refused(t, problem.AttemptSuperseded, ""); p.Status != 409 {
			t.Errorf("%s: %+v", why, p)
		}
	}
	_, err = w.EndAttempt(t.Context(), w.Tenant, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, At: c.Now()})
	w.Must(err)
	route.AsWorker(mine, apitest.Request{Body: `{"phase":"agent"}`}).Refused(t, problem.AttemptSuperseded, "")
}
