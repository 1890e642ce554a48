package table_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/agent"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// bench is a tenant on a fresh table.
type bench struct {
	*table.Table
	t      testing.TB
	ctx    context.Context
	clock  *clock.Manual
	tenant string
	caller tenant.Caller
}

func newBench(t testing.TB) *bench {
	c := clock.NewManual(start)
	return benchOn(t, enginetest.Table(t, c), c)
}

func benchOn(t testing.TB, store *table.Table, c *clock.Manual) *bench {
	b := &bench{Table: store, t: t, ctx: context.Background(), clock: c, tenant: id.New(id.Tenant, start)}
	e := tenant.Entitlement{Plan: "pro", State: tenant.Active, Version: 1}
	k := table.Key{ID: id.New(id.Key, start), Hash: "v1." + b.tenant, Scopes: tenant.Scopes, State: table.KeyActive, CreatedAt: start}
	b.must(b.CreateTenant(b.ctx, tenant.Tenant{ID: b.tenant, Name: "a", Entitlement: e, CreatedAt: start}, k, by("tenant.create")))
	b.caller = tenant.Caller{Tenant: b.tenant, KeyID: k.ID, KeyHash: k.Hash, Entitlement: e}
	return b
}

// revoke revokes the caller's key.
func (b *bench) revoke() {
	b.t.Helper()
	_, err := b.RevokeKey(b.ctx, b.tenant, b.caller.KeyID, by("key.revoke"))
	b.must(err)
}

// by is somebody without a key who makes a change.
func by(action string) table.By {
	return table.By{Audit: audit.Event{ID: id.New(id.Audit, start), At: start, Action: action, Actor: "test"}}
}

// byTo is somebody without a key who changes a thing.
func byTo(action, target string) table.By {
	b := by(action)
	b.Audit.Target = target
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// admission is a submission of n runs.
func (b *bench) admission(n int) table.Admission {
	now := b.clock.Now()
	tk := task.Task{ID: id.New(id.Task, now), Tenant: b.tenant, State: task.Queued, CreatedAt: now,
		Spec:  task.Spec{Repo: "https://example.com/a/b.git", Timeout: time.Minute, Priority: task.Normal},
		Tally: task.Tally{Total: n, Remaining: n}}
	for i := range n {
		tk.Runs = append(tk.Runs, task.Run{ID: id.ForRun(tk.ID, i+1), Task: tk.ID, Tenant: b.tenant, Number: i + 1,
			Agent: "claude", Model: "claude-sonnet-4-5", Priority: task.Normal, State: task.Queued, CreatedAt: now})
	}
	return table.Admission{Caller: b.caller, Task: tk, Prompt: "fix it", RunsPerDay: 1000,
		Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "task.create", Actor: b.caller.KeyID, Target: tk.ID}}
}

func (b *bench) admit(n int) task.Task {
	b.t.Helper()
	a := b.admission(n)
	b.must(b.Admit(b.ctx, b.tenant, a))
	return a.Task
}

// startNext starts the tenant's next waiting run.
func (b *bench) startNext(limit int) (task.Run, error) {
	s, err := b.Standing(b.ctx, b.tenant)
	b.must(err)
	q, err := b.Queue(b.ctx, b.tenant, 1)
	b.must(err)
	if len(q) == 0 {
		return task.Run{}, table.ErrNotFound
	}
	r, _, err := b.StartRun(b.ctx, b.tenant, table.Start{Entry: q[0], Cap: limit, Load: s.Load, VirtualTime: s.Load.VirtualTime + 1, LeaseUntil: b.clock.Now().Add(time.Minute)})
	return r, err
}

// running starts the next run and claims it.
func (b *bench) running(nonce string) task.Run {
	b.t.Helper()
	r, err := b.startNext(100)
	b.must(err)
	r, err = b.BeginAttempt(b.ctx, b.tenant, r.ID, r.Starts, "token", true, time.Minute, b.clock.Now().Add(time.Minute))
	b.must(err)
	r, err = b.Claim(b.ctx, b.tenant, r.ID, r.Attempt.Number, nonce, b.clock.Now().Add(time.Minute), by("run.claim"))
	b.must(err)
	return r
}

func (b *bench) settle(r task.Run) task.Run {
	b.t.Helper()
	r, err := b.Settle(b.ctx, b.tenant, table.Settlement{Run: r, Decision: task.Decide(r, b.clock.Now(), task.DefaultTiming), Now: b.clock.Now()})
	b.must(err)
	return r
}

func success() task.Result {
	cost := 0.5
	return task.Result{State: task.Succeeded, Patch: task.PatchStat{Files: 1, Additions: 2, Bytes: 9},
		Usage: agent.Usage{InputTokens: 10, OutputTokens: 2}, CostUSD: &cost,
		Verify: task.Verify{State: task.VerifyPassed}, Artifacts: []task.Artifact{{Name: task.ArtifactPatch, Size: 9, SHA256: "ab"}}}
}

func TestTheLifeOfARun(t *testing.T) {
	b := newBench(t)
	tk := b.admit(2)
	hints, err := b.Waiting(b.ctx, 10)
	b.must(err)
	if len(hints) != 1 || hints[0].Tenant != b.tenant {
		t.Fatalf("waiting: %+v", hints)
	}
	r := b.running("n1")
	if r.State != task.Running || !r.Deadline.Equal(start.Add(time.Minute)) || r.Attempt.Number != 1 {
		t.Fatalf("claimed run: %+v", r)
	}
	if _, err := b.Claim(b.ctx, b.tenant, r.ID, 1, "n2", start, by("run.claim")); !errors.Is(err, table.ErrNonceBound) {
		t.Errorf("another nonce: %v", err)
	}
	if again, err := b.Claim(b.ctx, b.tenant, r.ID, 1, "n1", start, by("run.claim")); err != nil || again.Attempt.Nonce != "n1" {
		t.Errorf("the same nonce: %v", err)
	}
	r, err = b.StoreResult(b.ctx, b.tenant, r.ID, 1, "n1", success())
	b.must(err)
	r = b.settle(r)
	got, err := b.Task(b.ctx, b.tenant, tk.ID)
	b.must(err)
	if got.State != task.Running || got.Tally.Remaining != 1 || len(got.Runs) != 2 || got.Runs[0].State != task.Succeeded {
		t.Fatalf("task after one run: %+v", got)
	}
	r2 := b.running("n3")
	_, err = b.RequestCancel(b.ctx, b.tenant, r2.ID, table.By{Audit: audit.Event{ID: id.New(id.Audit, start), Action: "run.cancel"}})
	b.must(err)
	r2, err = b.EndAttempt(b.ctx, b.tenant, r2.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, ExitCode: 1, At: start})
	b.must(err)
	b.settle(r2)
	got, err = b.Task(b.ctx, b.tenant, tk.ID)
	b.must(err)
	if got.State != task.Completed || got.Outcome != task.OutcomeSucceeded || got.Runs[1].State != task.Cancelled {
		t.Fatalf("task at the end: %+v", got)
	}
	s, err := b.Standing(b.ctx, b.tenant)
	b.must(err)
	if s.Load.Waiting != 0 || s.Load.Running != 0 {
		t.Errorf("load at the end: %+v", s.Load)
	}
	rows, err := b.LedgerRows(b.ctx, b.tenant, 10)
	b.must(err)
	if len(rows) != 1 || rows[0].Run != r.ID || *rows[0].CostUSD != 0.5 {
		t.Errorf("ledger: %+v", rows)
	}
}

func TestTheSpendOfLostAttemptsIsKept(t *testing.T) {
	b := newBench(t)
	b.admit(1)
	half, quarter := 0.5, 0.25
	tokens := agent.Usage{InputTokens: 10, OutputTokens: 2}
	r := b.running("n1")
	_, err := b.Heartbeat(b.ctx, b.tenant, r.ID, 1, "n1", task.Spend{Usage: tokens, CostUSD: &quarter}, start.Add(time.Minute))
	b.must(err)
	r, err = b.Heartbeat(b.ctx, b.tenant, r.ID, 1, "n1", task.Spend{Usage: tokens.Add(tokens), CostUSD: &half}, start.Add(time.Minute))
	b.must(err)
	for attempt := 1; attempt <= 1+task.MaxInfraRetries; attempt++ {
		r, err = b.EndAttempt(b.ctx, b.tenant, r.ID, attempt, task.AttemptEnd{Cause: task.ContainerStopped, ExitCode: 137, At: start})
		b.must(err)
		if r = b.settle(r); r.State.Terminal() {
			break
		}
		r, err = b.BeginAttempt(b.ctx, b.tenant, r.ID, 1, "token", true, time.Minute, start.Add(time.Minute))
		b.must(err)
		if got := *r.EarlierSpend.CostUSD; got != 0.5 || !r.Attempt.Spend.Nothing() {
			t.Errorf("attempt %d begins after %v USD and has spent %+v", attempt+1, got, r.Attempt.Spend)
		}
	}
	rows, err := b.LedgerRows(b.ctx, b.tenant, 10)
	b.must(err)
	if r.Reason != task.ReasonWorkerLost || len(rows) != 1 || *rows[0].CostUSD != 0.5 || rows[0].Usage != tokens.Add(tokens) {
		t.Errorf("run %s %s, ledger: %+v", r.State, r.Reason, rows)
	}
}
