package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// working is a tenant with two runs in flight and three that wait, just closed; and
// its neighbour, who has one of each.
type working struct {
	*place
	*settlementtest.World
	running, starting task.Run
	waiting           []task.Run
	neighbour         string
	theirs            []task.Run
}

func newWorking(t testing.TB) *working {
	t.Helper()
	c := clock.NewManual(settlementtest.Start)
	p := newPlace(t, c)
	w := &working{place: p, World: settlementtest.New(t, p.store, c, "pro")}
	w.neighbour = w.Tenant
	w.theirs = append(w.theirs, w.Submit(2).Runs...)
	w.Running("theirs")
	var caller tenant.Caller
	w.Tenant, caller = w.NewTenant(tenant.Entitlement{Plan: "pro", State: tenant.Active, Version: 1})
	tk := w.SubmitAs(caller, 5)
	w.running, w.starting = w.Running("token"), w.StartNext()
	w.waiting = tk.Runs[2:]
	now := c.Now()
	_, err := w.ChangeTenant(t.Context(), w.Tenant, table.By{Audit: audit.Event{ID: "aud_01KAR5G5M0000000000000000Z", At: now, Action: "tenant.close", Actor: "test"}},
		func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Close(now), nil })
	w.must(err)
	return w
}

// asked fails unless the runs that waited are cancelled, once each, and those in
// flight asked to end, once each; and the neighbour's go on.
func (w *working) asked() {
	w.t.Helper()
	for _, r := range w.waiting {
		if got := w.Read(r.ID); got.State != task.Cancelled || got.Reason != task.ReasonCancelled {
			w.t.Fatalf("a run that waited is %s, %s", got.State, got.Reason)
		}
	}
	for _, r := range []task.Run{w.running, w.starting} {
		if got := w.Read(r.ID); got.State != r.State || got.CancelRequestedAt.IsZero() {
			w.t.Fatalf("a run in flight is %s, asked to end at %s", got.State, got.CancelRequestedAt)
		}
	}
	if l := w.Load(); l.Waiting != 0 || l.Running != 2 {
		w.t.Fatalf("its load: %+v", l)
	}
	for action, want := range map[string]int{"run.cancel": 2, "run.cancelled": 3} {
		if got := w.Audited(action); len(got) != want || action == "run.cancel" && (got[0].Actor != actor || got[0].Detail != settlement.WithTenant) {
			w.t.Fatalf("events of %s: %+v", action, got)
		}
	}
	s, err := w.store.Standing(w.t.Context(), w.neighbour)
	if w.must(err); s.Load.Waiting != 1 || s.Load.Running != 1 {
		w.t.Fatalf("its neighbour's load: %+v", s.Load)
	}
	for _, r := range w.theirs {
		if got, err := w.store.Run(w.t.Context(), w.neighbour, r.ID); err != nil || !got.CancelRequestedAt.IsZero() || got.State.Terminal() {
			w.t.Fatalf("its neighbour's run: %+v, %v", got, err)
		}
	}
}

// end ends a run in flight, as its execution does.
func (w *working) end(r task.Run) {
	w.t.Helper()
	settler := settlement.Settler{Store: w.store, Clock: w.clock, Timing: task.DefaultTiming}
	_, err := settler.Settle(w.t.Context(), w.Tenant, r.ID, r.Starts)
	w.must(err)
	if got := w.Read(r.ID); got.State != task.Cancelled {
		w.t.Fatalf("it ended %s", got.State)
	}
}

func (w *working) quietAt() time.Time {
	w.t.Helper()
	tn, err := w.store.Tenant(w.t.Context(), w.Tenant)
	w.must(err)
	return tn.QuietAt
}

func TestTheRunsOfAClosedTenantEnd(t *testing.T) {
	w := newWorking(t)
	for range 2 {
		w.round()
		w.asked()
	}
	// The starting one is refused its container, the running one learns it.
	if _, err := w.store.BeginAttempt(t.Context(), w.Tenant, w.starting.ID, w.starting.Starts, "token", true, time.Minute, w.clock.Now().Add(time.Minute)); !errors.Is(err, table.ErrCancelled) {
		t.Errorf("its launch: %v", err)
	}
	beat, err := w.store.Heartbeat(t.Context(), w.Tenant, w.running.ID, 1, "nonce", task.Spend{}, w.clock.Now().Add(time.Minute))
	if w.must(err); beat.CancelRequestedAt.IsZero() {
		t.Error("its heartbeat does not say so")
	}
	w.end(w.starting)
	w.round()
	if got := w.quietAt(); !got.IsZero() {
		t.Errorf("with a run it is quiet at %s", got)
	}
	w.end(w.running)
	w.clock.Advance(time.Hour)
	w.round()
	if got := w.quietAt(); !got.Equal(w.clock.Now()) {
		t.Errorf("without runs it is quiet at %s", got)
	}
}

func TestEndingRunsThatIsCutOffAnywhereIsDoneByTheNextRound(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for n := 0; ; n++ {
			w := newWorking(t)
			cut := settlementtest.After(n)
			cut.Lost = lost
			err := w.remover(cut).handle(t.Context())
			if !cut.Reached() {
				if err != nil || n < 20 {
					t.Fatalf("%d calls in all, the end is %v", n, err)
				}
				break
			}
			w.round()
			w.asked()
		}
	}
}

// A run whose end nobody brings about keeps all that is the tenant's, for however
// long, and somebody is called.
func TestNothingIsRemovedWhileARunIsAlive(t *testing.T) {
	w := newWorking(t)
	w.round()
	w.end(w.starting)
	w.exported("2030-01-01")
	before := w.rows()
	for range 3 {
		w.clock.Advance(tenant.KeptClosed)
		if err := w.remover(nil).handle(t.Context()); err == nil || !strings.Contains(err.Error(), "a run has not ended") {
			t.Errorf("the remover says %v", err)
		}
	}
	if got := w.rows(); !slices.Equal(got, before) {
		t.Errorf("there were %v, there are %v", before, got)
	}
	w.end(w.running)
	w.round()
	before = w.rows()
	w.clock.Advance(aDay - time.Second) // its worker may still report
	w.round()
	if got := w.rows(); !slices.Equal(got, before) {
		t.Errorf("on the day of its last run there were %v, there are %v", before, got)
	}
	w.must(w.store.BeginExport(t.Context(), w.Tenant, audit.Link{}, audit.Day(w.clock.Now())))
	w.must(w.store.EndExport(t.Context(), w.Tenant, audit.Link{Sequence: 1, Ref: audit.Ref{Day: audit.Day(w.clock.Now()), SHA256: "x"}}))
	w.clock.Advance(time.Second)
	w.round()
	if got := w.rows(); len(got) != 3 { // its own, the export's, the last event's
		t.Errorf("left are %v", got)
	}
}

// rows are the keys of the tenant's.
func (w *working) rows() (keys []string) {
	w.t.Helper()
	for _, i := range w.items() {
		if key := rowKey(i); of(w.Tenant, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// broken is a store that fails for one tenant.
type broken struct {
	store
	tenant string
}

func (b broken) Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error) {
	if tenantID == b.tenant {
		return tenant.Tenant{}, errors.New("it fails")
	}
	return b.store.Tenant(ctx, tenantID)
}

func TestATenantThatFailsDoesNotStopTheOthers(t *testing.T) {
	w := newWorking(t)
	w.clock.Advance(time.Hour) // the broken one is due first
	other := settlementtest.New(t, w.store, w.clock, "pro")
	now := w.clock.Now()
	_, err := w.store.ChangeTenant(t.Context(), other.Tenant, table.By{Audit: audit.Event{ID: "aud_01KAR5G5M0000000000000000Y", At: now, Action: "tenant.close"}},
		func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Close(now), nil })
	w.must(err)
	r := w.remover(nil)
	r.store = broken{r.store, w.Tenant}
	if err := r.handle(t.Context()); err == nil || !strings.Contains(err.Error(), w.Tenant) || strings.Contains(err.Error(), other.Tenant) {
		t.Errorf("it says %v", err)
	}
	if tn, err := w.store.Tenant(t.Context(), other.Tenant); err != nil || tn.QuietAt.IsZero() {
		t.Errorf("the other one: %+v, %v", tn, err)
	}
}

// hurried is a context whose time is nearly up once a run was read.
type hurried struct {
	context.Context
	near bool
}

func (h *hurried) Deadline() (time.Time, bool) { return clock.System.Now().Add(spare / 2), h.near }

type hurrying struct {
	store
	h *hurried
}

func (s hurrying) Run(ctx context.Context, tenantID, runID string) (task.Run, error) {
	s.h.near = true
	return s.store.Run(ctx, tenantID, runID)
}

func TestARoundThatHasNoTimeLeftLeavesTheRestToTheNext(t *testing.T) {
	w := newWorking(t)
	h := &hurried{Context: t.Context()}
	r := w.remover(nil)
	r.store = hurrying{r.store, h}
	w.must(r.handle(h))
	if l := w.Load(); l.Waiting != 2 {
		t.Errorf("its load: %+v", l)
	}
	w.round()
	w.asked()
}
