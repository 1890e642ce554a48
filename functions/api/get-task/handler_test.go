package main

import (
	"strings"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

func serve(t *testing.T, store *table.Table, c clock.Clock) *apitest.Route {
	return apitest.Serve(t, "GET", "/v1/tasks/{id}", handler{store, c}.handle)
}

func newWorld(t *testing.T) *apitest.World {
	c := clock.NewManual(settlementtest.Start)
	return apitest.New(t, enginetest.Table(t, c), c, "pro")
}

func TestATaskIsReadWithItsRunsAndPrompt(t *testing.T) {
	w := newWorld(t)
	tk := w.SubmitAs(w.Caller, 2)
	var got api.Task
	serve(t, w.Table, w.Clock).As(w.Caller, apitest.Request{ID: tk.ID}).Into(t, 200, &got)
	if got.ID != tk.ID || got.Prompt != "fix it" || len(got.Runs) != 2 || got.Runs[1].ID != tk.Runs[1].ID || got.State != "queued" || got.Queue != nil {
		t.Errorf("%+v", got)
	}
}

func TestThePlaceInTheQueueIsToldWhenAsked(t *testing.T) {
	w := newWorld(t)
	first := w.SubmitAs(w.Caller, 2)
	w.Clock.Advance(time.Second)
	second := w.SubmitAs(w.Caller, 1)
	r := serve(t, w.Table, w.Clock)
	position := func(id string) *int {
		var got api.Task
		r.As(w.Caller, apitest.Request{ID: id, Query: "include=queue"}).Into(t, 200, &got)
		return got.Queue.Position
	}
	if p := position(first.ID); p == nil || *p != 1 {
		t.Errorf("the first task is not in place 1")
	}
	if p := position(second.ID); p == nil || *p != 3 {
		t.Errorf("the second task is not in place 3")
	}
	w.StartNext()
	w.StartNext()
	if p := position(first.ID); p != nil {
		t.Errorf("nothing of the first task waits, its place is %d", *p)
	}
}

func TestTheStartIsEstimatedFromRecentRuns(t *testing.T) {
	w := newWorld(t) // pro: 5 at once
	route := serve(t, w.Table, w.Clock)
	estimate := func(id string) string {
		t.Helper()
		var got api.Task
		route.As(w.Caller, apitest.Request{ID: id, Query: "include=queue"}).Into(t, 200, &got)
		if got.Queue.EstimatedStartAt == nil {
			return "unknown"
		}
		return *got.Queue.EstimatedStartAt
	}
	first := w.SubmitAs(w.Caller, 5)
	if got := estimate(first.ID); got != "2026-11-23T12:00:00Z" {
		t.Errorf("with free slots it starts %s", got)
	}
	w.Clock.Advance(time.Second)
	second := w.SubmitAs(w.Caller, 1)
	w.Clock.Advance(time.Second)
	third := w.SubmitAs(w.Caller, 2)
	var running []task.Run
	for range 5 {
		running = append(running, w.Running("token"))
	}
	if got := estimate(second.ID); got != "unknown" {
		t.Errorf("when no run has ended yet it starts %s", got)
	}
	w.Clock.Advance(10 * time.Minute)
	w.Finish(running[0])
	r := w.Read(running[0].ID)
	_, err := w.Settle(t.Context(), w.Tenant, table.Settlement{Run: r, Decision: task.Decide(r, w.Clock.Now(), task.DefaultTiming), Now: w.Clock.Now()})
	w.Must(err)
	if got := estimate(second.ID); got != "2026-11-23T12:10:02Z" {
		t.Errorf("with a slot that became free it starts %s", got)
	}
	if got := estimate(third.ID); got != "2026-11-23T12:12:02Z" { // a slot each 2 minutes
		t.Errorf("behind it, it starts %s", got)
	}
	change := func(c tenant.Change) {
		t.Helper()
		_, err := w.ChangeTenant(t.Context(), w.Tenant, table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now())}},
			func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(c) })
		w.Must(err)
	}
	for slots, want := range map[int]string{6: "2026-11-23T12:10:02Z", 2: "2026-11-23T12:20:02Z"} { // 4 run; 2 stand up to it
		change(tenant.Change{Limits: tenant.OverridesChange{ConcurrentRuns: tenant.To(slots)}})
		if got := estimate(third.ID); got != want {
			t.Errorf("with %d slots of its own it starts %s, want %s", slots, got, want)
		}
	}
	change(tenant.Change{State: new(tenant.Suspended)})
	if got := estimate(third.ID); got != "unknown" {
		t.Errorf("of a suspended tenant it starts %s", got)
	}
}

func TestReadingATaskCostsTwoReads(t *testing.T) {
	c, count := clock.NewManual(settlementtest.Start), &enginetest.Counter{}
	name := enginetest.TableName(t, enginetest.Client(t, nil))
	w := apitest.New(t, table.New(enginetest.Client(t, nil), name, c), c, "pro")
	tk := w.SubmitAs(w.Caller, 3)
	serve(t, table.New(enginetest.Client(t, count), name, c), c).As(w.Caller, apitest.Request{ID: tk.ID}).Into(t, 200, nil)
	if n := count.Calls(); n != 2 {
		t.Errorf("it took %d calls", n)
	}
}

func TestStrangersFindNothing(t *testing.T) {
	w := newWorld(t)
	serve(t, w.Table, w.Clock).HidesFromStrangers(w, w.SubmitAs(w.Caller, 1).ID)
}

func TestParametersThatAreRefused(t *testing.T) {
	w := newWorld(t)
	tk, r := w.SubmitAs(w.Caller, 1), serve(t, w.Table, w.Clock)
	for _, c := range []struct{ query, field, why string }{
		{"include=runs", "include", "no such part"},
		{"include=queue&include=queue", "include", "given twice"},
		{"includes=queue", "includes", "unknown"},
		{"include=" + strings.Repeat("q", 9000), "include", "too long"},
	} {
		r.As(w.Caller, apitest.Request{ID: tk.ID, Query: c.query}).Refused(t, problem.InvalidParameter, c.field)
	}
	r.As(w.Caller, apitest.Request{ID: tk.ID, Query: "include=%zz"}).Refused(t, problem.MalformedRequest, "")
}
