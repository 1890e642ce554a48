package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/clock"
	"outpost/shared/metric"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
	"outpost/shared/workflow"
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

func (w *world) reaper(cut *settlementtest.Cut) reaper {
	store := w.Table
	if cut != nil {
		store = table.New(enginetest.Client(w.T, cut), w.name, w.Clock)
	}
	return reaper{metrics: metric.New("Outpost", w.T.Output()), store: store, workflow: w.Workflow(cut), fleet: w.Fleet(cut), waker: w.Waker(cut),
		settler: settlement.Settler{Store: store, Clock: w.Clock, Timing: task.DefaultTiming},
		clock:   w.Clock, timing: task.DefaultTiming}
}

func (w *world) reap(cut *settlementtest.Cut) error {
	return w.reaper(cut).handle(context.Background())
}

// late is longer than every lease.
const late = time.Hour

// scene is a run that something happened to, and how it must be healed.
type scene struct {
	why     string
	prepare func(*world) task.Run
	healed  func(w *world, r task.Run) error
	load    tenant.Load // afterwards
}

var scenes = []scene{
	{"the scheduler died before it started the execution",
		func(w *world) task.Run { return w.StartNext() },
		func(w *world, r task.Run) error {
			if got := w.Executions(r.ID); !slices.Equal(got, []string{r.ID + "-1"}) {
				return fmt.Errorf("executions: %v", got)
			}
			return nil
		}, tenant.Load{Running: 1}},
	{"the worker went silent",
		func(w *world) task.Run { return w.Running("t1") },
		func(w *world, r task.Run) error {
			got := w.Read(r.ID)
			if got.Attempt.End.Cause != task.LeaseExpired || !w.Answered("t1") || len(w.Live(r.ID)) != 0 {
				return fmt.Errorf("live %v, run %+v", w.Live(r.ID), got)
			}
			return nil
		}, tenant.Load{Running: 1}},
	{"the answer of a finished worker was lost",
		func(w *world) task.Run {
			r := w.Running("t1")
			w.Finish(r)
			return r
		},
		func(w *world, r task.Run) error {
			got := w.Read(r.ID)
			if got.Result == nil || got.Attempt.End.Cause != "" || !w.Answered("t1") {
				return fmt.Errorf("run: %+v", got)
			}
			return nil
		}, tenant.Load{Running: 1}},
	{"the execution broke after the result was stored",
		func(w *world) task.Run {
			r := w.Running("t1")
			w.Finish(r)
			w.SetExecution(r, workflow.Closed)
			return r
		},
		func(w *world, r task.Run) error {
			if got := w.Read(r.ID); got.State != task.Succeeded {
				return fmt.Errorf("run: %+v", got)
			}
			return nil
		}, tenant.Load{}},
	{"the execution broke and the worker went silent",
		func(w *world) task.Run {
			r := w.Running("t1")
			w.SetExecution(r, workflow.Closed)
			return r
		},
		func(w *world, r task.Run) error {
			got := w.Read(r.ID)
			if got.State != task.Queued || len(w.Live(r.ID)) != 0 || !slices.Contains(w.Woken(), w.Tenant) {
				return fmt.Errorf("live %v, woken %v, run %+v", w.Live(r.ID), w.Woken(), got)
			}
			return nil
		}, tenant.Load{Waiting: 1}},
}

func TestEachCrashIsHealedByWhatIsFound(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.why, func(t *testing.T) {
			w := newWorld(t)
			w.Submit(1)
			r := s.prepare(w)
			w.Clock.Advance(late)
			w.Must(w.reap(nil))
			w.check(s, r)
		})
	}
}

func (w *world) check(s scene, r task.Run) {
	w.T.Helper()
	if err := s.healed(w, r); err != nil {
		w.T.Error(err)
	}
	if l := w.Load(); l.Waiting != s.load.Waiting || l.Running != s.load.Running {
		w.T.Errorf("load: %+v", l)
	}
}

func TestARunWithALeaseIsLeftAlone(t *testing.T) {
	for _, s := range scenes {
		w := newWorld(t)
		w.Submit(1)
		r := s.prepare(w)
		before, open := w.Read(r.ID), w.Executions(r.ID)
		w.Must(w.reap(nil))
		if got := w.Read(r.ID); !reflect.DeepEqual(got, before) || w.Answered("t1") || !slices.Equal(w.Executions(r.ID), open) {
			t.Errorf("%s: %+v became %+v", s.why, before, got)
		}
	}
}

func TestAHintOfThePastIsLeftAlone(t *testing.T) {
	for _, s := range scenes {
		w := newWorld(t)
		w.Submit(1)
		r := s.prepare(w)
		before := w.Read(r.ID)
		rp := w.reaper(nil)
		rp.store = hinting{w.Table, table.InflightRun{Tenant: w.Tenant, Run: r.ID}}
		w.Must(rp.handle(context.Background()))
		if got := w.Read(r.ID); !reflect.DeepEqual(got, before) || w.Answered("t1") {
			t.Errorf("%s: %+v became %+v", s.why, before, got)
		}
	}
}

// hinting has one hint in its index, right or wrong.
type hinting struct {
	*table.Table
	hint table.InflightRun
}

func (h hinting) Overdue(context.Context, time.Time, int) ([]table.InflightRun, error) {
	return []table.InflightRun{h.hint}, nil
}

func TestTheReaperSurvivesACrashAtEveryStep(t *testing.T) {
	const maxCalls = 80
	for _, s := range scenes {
		for _, lost := range []bool{false, true} {
			reached := true
			for calls := 0; reached; calls++ {
				if calls > maxCalls {
					t.Fatal("the reaper never ends")
				}
				w := newWorld(t)
				w.Submit(1)
				r := s.prepare(w)
				w.Clock.Advance(late)
				cut := settlementtest.After(calls)
				cut.Lost = lost
				_ = w.reap(cut)
				reached = cut.Reached()
				w.Clock.Advance(late)
				w.Must(w.reap(nil))
				w.check(s, r)
				if t.Failed() {
					t.Fatalf("%s: cut after %d calls, lost answer %v", s.why, calls, lost)
				}
			}
		}
	}
}

func TestAHeartbeatThatComesFirstWins(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.Running("t1")
	w.Clock.Advance(late)
	rp := w.reaper(nil)
	rp.workflow = beating{w.Workflow(nil), w, r}
	w.Must(rp.handle(context.Background()))
	if got := w.Read(r.ID); !got.Attempt.Open() || len(w.Live(r.ID)) != 1 || w.Answered("t1") {
		t.Errorf("live %v, run %+v", w.Live(r.ID), got)
	}
}

// beating lets a heartbeat come between the reaper's look and its write.
type beating struct {
	settlementtest.Workflow
	w *world
	r task.Run
}

func (b beating) Describe(ctx context.Context, in workflow.Input) (workflow.Status, error) {
	_, err := b.w.Heartbeat(ctx, b.w.Tenant, b.r.ID, 1, b.r.Attempt.Nonce, task.Spend{}, b.w.Clock.Now().Add(time.Minute))
	b.w.Must(err)
	return b.Workflow.Describe(ctx, in)
}

func TestOneBadRunDoesNotStopTheOthers(t *testing.T) {
	w := newWorld(t)
	w.Submit(3)
	bad := w.Running("t1")
	good := []task.Run{w.Running("t2"), w.Running("t3")}
	w.Clock.Advance(late)
	rp := w.reaper(nil)
	rp.workflow = broken{w.Workflow(nil), bad.ID}
	w.Must(rp.handle(context.Background()))
	for i, r := range good {
		if !w.Answered(fmt.Sprint("t", i+2)) || w.Read(r.ID).Attempt.Open() {
			t.Errorf("%s was not healed", r.ID)
		}
	}
	if !w.Read(bad.ID).Attempt.Open() {
		t.Error("the bad run was touched")
	}
}

// broken cannot describe one run's executions.
type broken struct {
	settlementtest.Workflow
	run string
}

func (b broken) Describe(ctx context.Context, in workflow.Input) (workflow.Status, error) {
	if in.Run == b.run {
		return "", errors.New("no answer")
	}
	return b.Workflow.Describe(ctx, in)
}

func TestTheReaperWakesEveryTenantThatWaits(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	other, caller := w.NewTenant(tenant.Entitlement{Plan: "pro", State: tenant.Active, Version: 1})
	w.SubmitAs(caller, 1)
	w.NewTenant(tenant.Entitlement{Plan: "pro", State: tenant.Active, Version: 1}) // has nothing
	w.Must(w.reap(nil))
	woken := w.Woken()
	if len(woken) != 2 || !slices.Contains(woken, w.Tenant) || !slices.Contains(woken, other) {
		t.Errorf("woken: %v", woken)
	}
}

func TestADeathUnderABrokenExecutionIsHealedInTheNextRound(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.Running("t1")
	w.SetExecution(r, workflow.Closed)
	_, err := w.EndAttempt(context.Background(), w.Tenant, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, ExitCode: 137, At: w.Clock.Now()})
	w.Must(err)
	w.Clock.Advance(time.Second) // far from the end of its lease
	w.Must(w.reap(nil))
	if l := w.Load(); l.Running != 0 || l.Waiting != 1 {
		t.Errorf("load: %+v", l)
	}
}
