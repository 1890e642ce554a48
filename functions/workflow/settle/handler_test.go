package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/metric"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/workflow"
)

type world struct {
	*settlementtest.World
	name   string // of the table
	timing task.Timing
	// counted is what was written of metrics.
	counted bytes.Buffer
}

func newWorld(t testing.TB) *world {
	c := clock.NewManual(settlementtest.Start)
	client := enginetest.Client(t, nil)
	name := enginetest.TableName(t, client)
	return &world{World: settlementtest.New(t, table.New(client, name, c), c, "pro"), name: name, timing: task.DefaultTiming}
}

func (w *world) settle(cut *settlementtest.Cut, r task.Run) (answer, error) {
	store := w.Table
	if cut != nil {
		store = table.New(enginetest.Client(w.T, cut), w.name, w.Clock)
	}
	h := handler{settlement.Settler{Store: store, Clock: w.Clock, Timing: w.timing}, w.Waker(cut), metric.New("Outpost", &w.counted), w.Clock}
	return h.handle(context.Background(), workflow.Input{Tenant: w.Tenant, Run: r.ID, Start: r.Starts})
}

func (w *world) end(r task.Run, cause task.Cause) {
	w.T.Helper()
	_, err := w.EndAttempt(context.Background(), w.Tenant, r.ID, r.Attempt.Number, task.AttemptEnd{Cause: cause, At: w.Clock.Now().Add(time.Hour)})
	w.Must(err)
}

func TestWhatIsDecidedIsCountedOnce(t *testing.T) {
	w := newWorld(t)
	w.Submit(2)
	r := w.Running("t")
	w.end(r, task.ContainerStopped)
	_, err := w.settle(nil, r)
	w.Must(err)
	done := w.Running("t2")
	w.Finish(done)
	for range 2 { // the second time it has ended
		_, err = w.settle(nil, done)
		w.Must(err)
	}
	for name, want := range map[metric.Name]int{metric.AttemptsLost: 1, metric.RunsSucceeded: 1, metric.RunsFailed: 0} {
		if n := strings.Count(w.counted.String(), fmt.Sprintf("%q:1", name)); n != want {
			t.Errorf("%s is counted %d times, want %d: %s", name, n, want, w.counted.String())
		}
	}
}

func TestSettleTellsTheStateMachineWhatComesNext(t *testing.T) {
	for _, c := range []struct {
		why     string
		prepare func(*world) task.Run
		want    answer
		state   task.State
		woken   int
	}{
		{"a stored result ends the run and frees its slot", func(w *world) task.Run {
			r := w.Running("t")
			w.Finish(r)
			return r
		}, answer{Next: task.NextDone}, task.Succeeded, 1},
		{"a lost container is followed by another", func(w *world) task.Run {
			r := w.Running("t")
			w.end(r, task.ContainerStopped)
			return r
		}, answer{Next: task.NextAgain}, task.Starting, 0},
		{"no capacity waits whole seconds, rounded up", func(w *world) task.Run {
			w.timing.NoCapacityWait = 1200 * time.Millisecond
			r := w.Running("t")
			w.end(r, task.NoCapacity)
			return r
		}, answer{Next: task.NextWait, WaitSeconds: 2}, task.Running, 0},
		{"no capacity for long goes back to the queue and frees the slot", func(w *world) task.Run {
			r := w.StartNext()
			r, err := w.BeginAttempt(context.Background(), w.Tenant, r.ID, r.Starts, "t", true, time.Minute, w.Clock.Now())
			w.Must(err)
			_, err = w.EndAttempt(context.Background(), w.Tenant, r.ID, 1, task.AttemptEnd{Cause: task.NoCapacity, At: w.Clock.Now()})
			w.Must(err)
			w.Clock.Advance(w.timing.NoCapacityLimit)
			return r
		}, answer{Next: task.NextDone}, task.Queued, 1},
		{"an earlier start's execution changes nothing", func(w *world) task.Run {
			r := w.Running("t")
			w.Finish(r)
			r.Starts--
			return r
		}, answer{Next: task.NextDone}, task.Running, 1},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := newWorld(t)
			w.Submit(1)
			r := c.prepare(w)
			got, err := w.settle(nil, r)
			w.Must(err)
			if got != c.want {
				t.Errorf("answer %+v, want %+v", got, c.want)
			}
			if s := w.Read(r.ID).State; s != c.state {
				t.Errorf("state %s, want %s", s, c.state)
			}
			if n := len(w.Woken()); n != c.woken {
				t.Errorf("%d wakeups, want %d", n, c.woken)
			}
		})
	}
}

func TestARunThatIsNotThereIsDone(t *testing.T) {
	w := newWorld(t)
	got, err := w.settle(nil, task.Run{ID: id.ForRun(id.New(id.Task, w.Clock.Now()), 1), Starts: 1})
	if err != nil || got.Next != task.NextDone {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheLeaseOutlastsThePauseForCapacity(t *testing.T) {
	// Else the reaper would take a run that waits for one that is lost.
	w := newWorld(t)
	w.timing.NoCapacityWait = 2 * task.DefaultTiming.ClaimLease
	w.Submit(1)
	r := w.Running("t")
	w.end(r, task.NoCapacity)
	_, err := w.settle(nil, r)
	w.Must(err)
	if until := w.Read(r.ID).LeaseUntil; !until.After(w.Clock.Now().Add(w.timing.NoCapacityWait)) {
		t.Errorf("the lease ends at %s", until)
	}
}

func TestALossIsTriedAgainTwiceAtMost(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.Running("t")
	for range task.MaxInfraRetries {
		w.end(r, task.ContainerStopped)
		if got, err := w.settle(nil, r); err != nil || got.Next != task.NextAgain {
			t.Fatalf("%+v, %v", got, err)
		}
		var err error
		r, err = w.BeginAttempt(context.Background(), w.Tenant, r.ID, r.Starts, "t", true, time.Minute, w.Clock.Now().Add(time.Minute))
		w.Must(err)
	}
	w.end(r, task.ContainerStopped)
	if got, err := w.settle(nil, r); err != nil || got.Next != task.NextDone {
		t.Fatalf("%+v, %v", got, err)
	}
	if got := w.Read(r.ID); got.State != task.Failed || got.Reason != task.ReasonWorkerLost || got.Attempt.Number != 1+task.MaxInfraRetries {
		t.Errorf("run: %+v", got)
	}
}

func TestSettleEndsARunOnceUnderACrashAtEveryStep(t *testing.T) {
	const maxCalls = 40
	for _, lost := range []bool{false, true} {
		reached := true
		for calls := 0; reached; calls++ {
			if calls > maxCalls {
				t.Fatal("Settle never ends")
			}
			t.Run(fmt.Sprintf("%d calls, lost answer %v", calls, lost), func(t *testing.T) {
				w := newWorld(t)
				tk := w.Submit(2)
				r := w.Running("t")
				w.Finish(r)
				cut := settlementtest.After(calls)
				cut.Lost = lost
				_, _ = w.settle(cut, r)
				reached = cut.Reached()
				got, err := w.settle(nil, r) // as the state machine's Retry does
				w.Must(err)
				if got.Next != task.NextDone || w.Read(r.ID).State != task.Succeeded {
					t.Errorf("answer %+v, run %+v", got, w.Read(r.ID))
				}
				if l := w.Load(); l.Running != 0 || l.Waiting != 1 {
					t.Errorf("load: %+v", l)
				}
				read, err := w.Task(context.Background(), w.Tenant, tk.ID)
				w.Must(err)
				if read.Tally.Remaining != 1 || read.Tally.Succeeded != 1 {
					t.Errorf("tally: %+v", read.Tally)
				}
				rows, err := w.LedgerRows(context.Background(), w.Tenant, 10)
				w.Must(err)
				if len(rows) != 1 {
					t.Errorf("%d rows in the ledger", len(rows))
				}
			})
		}
	}
}
