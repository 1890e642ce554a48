package main

import (
	"fmt"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
)

type world struct {
	*apitest.World
	*apitest.Route
	run task.Run
}

func newWorld(t *testing.T) world {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	tk := w.SubmitAs(w.Caller, 1)
	return world{w, apitest.Serve(t, "GET", "/v1/runs/{id}/events", handler{w.Table, c}.handle), tk.Runs[0]}
}

func (w world) report(attempt int, from, to int64) {
	w.T.Helper()
	var events []task.Event
	for n := from; n <= to; n++ {
		events = append(events, task.Event{Seq: task.EventSeq(attempt, n), At: w.Clock.Now(), Kind: task.EventOutput, Text: fmt.Sprint(n)})
	}
	w.Must(w.PutEvents(w.T.Context(), w.Tenant, w.run.ID, attempt, events))
}

func (w world) read(query string) (page api.EventPage[task.Event]) {
	w.T.Helper()
	w.As(w.Caller, apitest.Request{ID: w.run.ID, Query: query}).Into(w.T, 200, &page)
	return page
}

// cancel ends the waiting run.
func (w world) cancel() {
	w.T.Helper()
	run, err := w.RequestCancel(w.T.Context(), w.Tenant, w.run.ID, table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now()}})
	w.Must(err)
	_, err = settlement.Settler{Store: w.Table, Clock: w.Clock}.Queued(w.T.Context(), w.Tenant, run)
	w.Must(err)
}

func TestEventsAreReadInOrderOverAttempts(t *testing.T) {
	w := newWorld(t)
	w.report(2, 1, 2) // the second attempt's come behind the first one's
	w.report(1, 1, 3)
	var got []int64
	for after, more := "0", true; more; {
		p := w.read("limit=2&after=" + after)
		for _, e := range p.Data {
			got = append(got, e.Seq)
		}
		after, more = p.NextCursor, p.HasMore
	}
	if want := "[1000000001 1000000002 1000000003 2000000001 2000000002]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// waiting starts a long poll and returns once it pauses.
func (w world) waiting(query string) <-chan api.EventPage[task.Event] {
	w.T.Helper()
	answered := make(chan api.EventPage[task.Event], 1)
	go func() { answered <- w.read(query) }()
	w.untilItPauses()
	return answered
}

func (w world) untilItPauses() {
	w.T.Helper()
	for deadline := time.Now().Add(time.Minute); w.Clock.Waiters() == 0; {
		if time.Now().After(deadline) {
			w.T.Fatal("the poll never paused")
		}
		<-time.After(time.Millisecond)
	}
}

func TestAWaitingCallerGetsAnEventWhenItComes(t *testing.T) {
	w := newWorld(t)
	answered := w.waiting("wait=20")
	w.report(1, 1, 1)
	w.Clock.Advance(lookEvery)
	if p := <-answered; len(p.Data) != 1 || p.State != "queued" || p.NextCursor != "1000000001" {
		t.Errorf("%+v", p)
	}
}

func TestAWaitingCallerLearnsThatTheRunHasEnded(t *testing.T) {
	w := newWorld(t)
	answered := w.waiting("wait=20")
	w.cancel()
	w.Clock.Advance(lookEvery)
	if p := <-answered; len(p.Data) != 0 || p.State != "cancelled" || p.HasMore || p.NextCursor != "0" {
		t.Errorf("%+v", p)
	}
}

func TestAWaitIsOverInTime(t *testing.T) {
	w := newWorld(t)
	answered := w.waiting("wait=3")
	for range 2 {
		w.Clock.Advance(lookEvery)
		w.untilItPauses()
	}
	w.Clock.Advance(lookEvery)
	if p := <-answered; len(p.Data) != 0 || p.State != "queued" {
		t.Errorf("%+v", p)
	}
	if passed := w.Clock.Now().Sub(settlementtest.Start); passed != 3*time.Second {
		t.Errorf("it took %s", passed)
	}
}

func TestNothingIsWaitedForWithoutBeingAsked(t *testing.T) {
	w := newWorld(t)
	if p := w.read(""); len(p.Data) != 0 || p.NextCursor != "0" {
		t.Errorf("%+v", p)
	}
	w.cancel()
	// It has ended: nothing comes, and the clock that nobody moves is not waited for.
	answered := make(chan api.EventPage[task.Event], 1)
	go func() { answered <- w.read("wait=20") }()
	select {
	case p := <-answered:
		if p.State != "cancelled" {
			t.Errorf("%+v", p)
		}
	case <-time.After(time.Minute):
		t.Fatal("the poll waits for a run that has ended")
	}
}

func TestParametersThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for query, field := range map[string]string{"wait=21": "wait", "wait=-1": "wait", "after=-1": "after", "after=x": "after", "limit=0": "limit",
		"limit=101": "limit", "after=1.5": "after", "after=9007199254740992": "after", "follow=1": "follow"} {
		w.As(w.Caller, apitest.Request{ID: w.run.ID, Query: query}).Refused(t, problem.InvalidParameter, field)
	}
}

func TestStrangersFindNothing(t *testing.T) {
	w := newWorld(t)
	w.HidesFromStrangers(w.World, w.run.ID)
}
