package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/clock"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
)

type world struct {
	*settlementtest.World
	name string // of the table
}

func newWorld(t testing.TB) *world {
	c := clock.NewManual(settlementtest.Start)
	client := enginetest.Client(t, nil)
	name := enginetest.TableName(t, client)
	return &world{settlementtest.New(t, table.New(client, name, c), c, "pro"), name}
}

func (w *world) stopped(cut *settlementtest.Cut, event []byte) error {
	store := w.Table
	if cut != nil {
		store = table.New(enginetest.Client(w.T, cut), w.name, w.Clock)
	}
	return handler{store, w.Workflow(cut), w.Clock}.handle(context.Background(), event)
}

// event is the last event of the container of a run's attempt.
func (w *world) event(r task.Run, attempt int) []byte {
	return []byte(fmt.Sprintf(`{"detail-type":"ECS Task State Change","detail":{"group":"%s:%s:%d","lastStatus":"STOPPED",
		"stopCode":"EssentialContainerExited","stoppedReason":"Essential container in task exited","containers":[{"name":"worker","exitCode":3}]}}`,
		w.Tenant, r.ID, attempt))
}

func TestAContainerThatEndedWithoutAResultEndsItsAttempt(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.Running("t1")
	w.Must(w.stopped(nil, w.event(r, 1)))
	end := w.Read(r.ID).Attempt.End
	want := task.AttemptEnd{Cause: task.ContainerStopped, ExitCode: 3, Detail: "EssentialContainerExited: Essential container in task exited", At: w.Clock.Now()}
	if end != want {
		t.Errorf("end %+v, want %+v", end, want)
	}
	if !w.Answered("t1") {
		t.Error("the state machine waits on")
	}
}

func TestAStoredResultIsNotOverwrittenAndItsLostAnswerIsMadeGood(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.Running("t1")
	w.Finish(r)
	w.Must(w.stopped(nil, w.event(r, 1)))
	if got := w.Read(r.ID); got.Result == nil || got.Attempt.End.Cause != "" {
		t.Errorf("run: %+v", got)
	}
	if !w.Answered("t1") {
		t.Error("the state machine waits on")
	}
}

func TestEventsThatComeTwiceOrLateChangeNothing(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.Running("t1")
	w.Must(w.stopped(nil, w.event(r, 1)))
	first := w.Read(r.ID).Attempt.End
	w.Clock.Advance(time.Second)
	w.Must(w.stopped(nil, w.event(r, 1)))
	if again := w.Read(r.ID).Attempt.End; again != first {
		t.Errorf("the second event changed the end: %+v", again)
	}
	run := w.Read(r.ID)
	_, err := w.Settle(context.Background(), w.Tenant, table.Settlement{Run: run, Decision: task.Decide(run, w.Clock.Now(), task.DefaultTiming), Now: w.Clock.Now()})
	w.Must(err)
	_, err = w.BeginAttempt(context.Background(), w.Tenant, r.ID, r.Starts, "t2", true, time.Minute, w.Clock.Now().Add(time.Minute))
	w.Must(err)
	w.Must(w.stopped(nil, w.event(r, 1)))
	if a := w.Read(r.ID).Attempt; !a.Open() || w.Answered("t2") {
		t.Errorf("a late event of attempt 1 touched attempt 2: %+v", a)
	}
}

func TestEventsOfOthersAreIgnored(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.Running("t1")
	sample, err := os.ReadFile("../../events/ecs-task-stopped.json")
	w.Must(err)
	for why, event := range map[string][]byte{
		"a run that is not in this table": sample,
		"a service's task":                []byte(`{"detail":{"group":"service:web","lastStatus":"STOPPED"}}`),
		"a task that still runs":          []byte(fmt.Sprintf(`{"detail":{"group":"%s:%s:1","lastStatus":"RUNNING"}}`, w.Tenant, r.ID)),
		"another tenant's run":            []byte(fmt.Sprintf(`{"detail":{"group":"ten_01KAR5G5M0000000000000000A:%s:1","lastStatus":"STOPPED"}}`, r.ID)),
		"an attempt that was not made":    w.event(r, 7),
		"an empty event":                  []byte(`{}`),
	} {
		if err := w.stopped(nil, event); err != nil {
			t.Errorf("%s: %v", why, err)
		}
	}
	if a := w.Read(r.ID).Attempt; !a.Open() || w.Answered("t1") {
		t.Errorf("attempt: %+v", a)
	}
	if err := w.stopped(nil, json.RawMessage(`[`)); err == nil {
		t.Error("an event that is no JSON is taken for handled")
	}
}

func TestACrashAtAnyStepIsMadeGoodByTheNextDelivery(t *testing.T) {
	for _, lost := range []bool{false, true} {
		reached := true
		for calls := 0; reached && calls < 20; calls++ {
			w := newWorld(t)
			w.Submit(1)
			r := w.Running("t1")
			cut := settlementtest.After(calls)
			cut.Lost = lost
			_ = w.stopped(cut, w.event(r, 1))
			reached = cut.Reached()
			w.Must(w.stopped(nil, w.event(r, 1)))
			if a := w.Read(r.ID).Attempt; a.End.Cause != task.ContainerStopped || !w.Answered("t1") {
				t.Errorf("after %d calls: %+v", calls, a)
			}
		}
		if reached {
			t.Error("the handler never ends")
		}
	}
}
