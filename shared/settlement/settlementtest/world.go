// Package settlementtest is a small world for tests of those who start, launch,
// heal and settle runs: one tenant on a real table, and around it executions,
// containers and wakeups as AWS would show them, which note every breach of
// what must always hold.
package settlementtest

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/fleet"
	"outpost/shared/id"
	"outpost/shared/redact"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
	"outpost/shared/workflow"
)

// Start is the time at which a world's clock begins.
var Start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// timeout of every task: tests of leases do not reach its deadline.
const timeout = 24 * time.Hour

// World is one tenant's.
type World struct {
	*table.Table
	T      testing.TB
	Clock  *clock.Manual
	Tenant string
	caller tenant.Caller

	mu         sync.Mutex
	executions map[string]workflow.Status
	answered   []string
	woken      []string
	containers map[string]*container // by ARN, which is made of run and attempt
	refusal    error
	looks      int
}

type container struct {
	fleet.Container
	live bool
}

// New makes a world on a table, with a tenant of that plan.
func New(t testing.TB, store *table.Table, c *clock.Manual, planName string) *World {
	w := &World{Table: store, T: t, Clock: c, executions: map[string]workflow.Status{}, containers: map[string]*container{}}
	w.Tenant, w.caller = w.NewTenant(tenant.Entitlement{Plan: planName, State: tenant.Active, Version: 1})
	return w
}

// NewTenant stores another tenant with a key.
func (w *World) NewTenant(e tenant.Entitlement) (string, tenant.Caller) {
	w.T.Helper()
	now, ctx := w.Clock.Now(), context.Background()
	tn := tenant.Tenant{ID: id.New(id.Tenant, now), Name: "a tenant", Entitlement: e, CreatedAt: now}
	k := table.Key{ID: id.New(id.Key, now), Hash: "v1." + tn.ID, Scopes: tenant.Scopes, State: table.KeyActive, CreatedAt: now}
	w.Must(w.CreateTenant(ctx, tn, k, table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "tenant.create", Actor: "test"}}))
	return tn.ID, tenant.Caller{Tenant: tn.ID, KeyID: k.ID, KeyHash: k.Hash, Entitlement: e}
}

// Must ends the test on an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Revoke revokes a caller's key.
func (w *World) Revoke(c tenant.Caller) {
	w.T.Helper()
	now := w.Clock.Now()
	_, err := w.RevokeKey(context.Background(), c.Tenant, c.KeyID, table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "key.revoke", Actor: "test"}})
	w.Must(err)
}

// Audited returns the tenant's audit events of an action.
func (w *World) Audited(action string) (found []audit.Event) {
	w.T.Helper()
	trail, err := w.AuditTrail(context.Background(), w.Tenant, 1000)
	w.Must(err)
	for _, e := range trail {
		if e.Action == action {
			found = append(found, e)
		}
	}
	return found
}

// TrailHides fails when a tenant's audit trail holds a secret, whatever its form.
func (w *World) TrailHides(tenantID string, secrets ...string) {
	w.T.Helper()
	trail, err := w.AuditTrail(context.Background(), tenantID, 1000)
	w.Must(err)
	text, err := json.Marshal(trail)
	w.Must(err)
	for _, s := range secrets {
		if len(s) < redact.MinLength || len(trail) == 0 {
			w.T.Fatalf("nothing to look for, or nothing to look at: %d events", len(trail))
		}
		if redact.New(redact.Secrets{"it": s}).String(string(text)) != string(text) {
			w.T.Errorf("the trail holds a secret: %s", text)
		}
	}
}

// Submit admits a task of n runs for the world's tenant.
func (w *World) Submit(n int) task.Task { return w.SubmitAs(w.caller, n) }

// SubmitAs admits a task of n runs.
func (w *World) SubmitAs(c tenant.Caller, n int) task.Task {
	w.T.Helper()
	now := w.Clock.Now()
	tk := task.Task{ID: id.New(id.Task, now), Tenant: c.Tenant, State: task.Queued, CreatedAt: now,
		Spec:  task.Spec{Repo: "https://example.com/a/b.git", Timeout: timeout, Priority: task.Normal},
		Tally: task.Tally{Total: n, Remaining: n}}
	for i := range n {
		tk.Runs = append(tk.Runs, task.Run{ID: id.ForRun(tk.ID, i+1), Task: tk.ID, Tenant: c.Tenant, Number: i + 1,
			Agent: "claude", Model: "claude-sonnet-4-5", Priority: task.Normal, State: task.Queued, CreatedAt: now})
	}
	w.Must(w.Admit(context.Background(), c.Tenant, table.Admission{Caller: c, Task: tk, Prompt: "fix it", RunsPerDay: 100_000,
		Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "task.create", Actor: c.KeyID, Target: tk.ID}}))
	return tk
}

// StartNext starts the tenant's next waiting run, as the scheduler does.
func (w *World) StartNext() task.Run {
	w.T.Helper()
	ctx := context.Background()
	s, err := w.Standing(ctx, w.Tenant)
	w.Must(err)
	q, err := w.Queue(ctx, w.Tenant, 1)
	w.Must(err)
	if len(q) == 0 {
		w.T.Fatal("nothing waits")
	}
	r, _, err := w.StartRun(ctx, w.Tenant, table.Start{Entry: q[0], Cap: 1000, Load: s.Load,
		VirtualTime: s.Load.VirtualTime + 1, LeaseUntil: w.Clock.Now().Add(task.DefaultTiming.ClaimLease)})
	w.Must(err)
	return r
}

// Launching starts the next run and makes its first attempt, under a task token;
// its container is not known yet.
func (w *World) Launching(token string) task.Run {
	w.T.Helper()
	r, timing := w.StartNext(), task.DefaultTiming
	w.SetExecution(r, workflow.Open)
	r, err := w.BeginAttempt(context.Background(), w.Tenant, r.ID, r.Starts, token, true, timing.HeartbeatLease, w.Clock.Now().Add(timing.ClaimLease))
	w.Must(err)
	return r
}

// Unclaimed is Launching with a container, whose worker has not come yet.
func (w *World) Unclaimed(token string) task.Run {
	w.T.Helper()
	ctx, r := context.Background(), w.Launching(token)
	arn, err := w.Fleet(nil).Launch(ctx, fleet.Container{Tenant: w.Tenant, Run: r.ID, Attempt: r.Attempt.Number})
	w.Must(err)
	w.Must(w.SetContainer(ctx, w.Tenant, r.ID, r.Attempt.Number, arn))
	return w.Read(r.ID)
}

// Running is Unclaimed and then claimed by a worker.
func (w *World) Running(token string) task.Run {
	w.T.Helper()
	return w.ClaimOf(w.Unclaimed(token))
}

// ClaimOf claims a run's attempt, as its worker does.
func (w *World) ClaimOf(r task.Run) task.Run {
	w.T.Helper()
	r, err := w.Claim(context.Background(), w.Tenant, r.ID, r.Attempt.Number, "nonce", w.Clock.Now().Add(task.DefaultTiming.HeartbeatLease), table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now(), Action: "run.claim", Actor: "test", Target: r.ID}})
	w.Must(err)
	return r
}

// Finish stores a result of the run's open attempt.
func (w *World) Finish(r task.Run) {
	w.T.Helper()
	_, err := w.StoreResult(context.Background(), w.Tenant, r.ID, r.Attempt.Number, r.Attempt.Nonce,
		task.Result{State: task.Succeeded, Verify: task.Verify{State: task.VerifyPassed}})
	w.Must(err)
}

// Read reads a run.
func (w *World) Read(runID string) task.Run {
	w.T.Helper()
	r, err := w.Run(context.Background(), w.Tenant, runID)
	w.Must(err)
	return r
}

// Load reads the tenant's load.
func (w *World) Load() tenant.Load {
	w.T.Helper()
	s, err := w.Standing(context.Background(), w.Tenant)
	w.Must(err)
	return s.Load
}
