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
	"outpost/shared/fleet"
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
	load    tenant.Load   // afterwards
	after   time.Duration // until the reaper comes
}

// before are what may happen to a container before its claim, while the claim's
// lease runs.
var before = []scene{
	{"the container died before its claim and nobody was told",
		func(w *world) task.Run {
			r := w.Unclaimed("t1")
			w.die(r)
			return r
		},
		func(w *world, r task.Run) error {
			got := w.Read(r.ID)
			if got.Attempt.End.Cause != task.ContainerStopped || got.Attempt.End.ExitCode != 137 || got.Attempt.End.Detail != "EssentialContainerExited" || !w.Answered("t1") {
				return fmt.Errorf("run %+v", got)
			}
			return nil
		}, tenant.Load{Running: 1}, look},
	{"the execution broke and the container died before its claim",
		func(w *world) task.Run {
			r := w.Unclaimed("t1")
			w.die(r)
			w.SetExecution(r, workflow.Closed)
			return r
		},
		func(w *world, r task.Run) error {
			if got := w.Read(r.ID); got.State != task.Queued || !slices.Contains(w.Woken(), w.Tenant) {
				return fmt.Errorf("woken %v, run %+v", w.Woken(), got)
			}
			return nil
		}, tenant.Load{Waiting: 1}, look},
	{"the container waits for its image or for capacity",
		func(w *world) task.Run { return w.Unclaimed("t1") },
		func(w *world, r task.Run) error { return w.goesOn(r, 1) }, tenant.Load{Running: 1}, look},
	{"the launch takes its time",
		func(w *world) task.Run { return w.Launching("t1") },
		func(w *world, r task.Run) error { return w.goesOn(r, 0) }, tenant.Load{Running: 1}, look},
}

// look is longer than the reaper waits before it looks after a container, and
// twice that is shorter than the lease of a claim.
const look = 95 * time.Second

// die kills a run's container and tells nobody.
func (w *world) die(r task.Run) {
	_, err := w.Fleet(nil).Stop(context.Background(), r.Attempt.Container, "it dies")
	w.Must(err)
}

// goesOn fails unless the run is as it was, but for the time of the next look.
func (w *world) goesOn(r task.Run, live int) error {
	got := w.Read(r.ID)
	next := got.Attempt.LookAt
	got.Attempt.LookAt = r.Attempt.LookAt
	if !reflect.DeepEqual(got, r) || len(w.Live(r.ID)) != live || w.Answered("t1") || !next.Equal(w.Clock.Now().Add(task.DefaultTiming.HeartbeatLease)) {
		return fmt.Errorf("live %v, next look at %s, run %+v became %+v", w.Live(r.ID), next, r, got)
	}
	return nil
}

var scenes = []scene{
	{"the scheduler died before it started the execution",
		func(w *world) task.Run { return w.StartNext() },
		func(w *world, r task.Run) error {
			if got := w.Executions(r.ID); !slices.Equal(got, []string{r.ID + "-1"}) {
				return fmt.Errorf("executions: %v", got)
			}
			return nil
		}, tenant.Load{Running: 1}, late},
	{"the worker went silent",
		func(w *world) task.Run { return w.Running("t1") },
		func(w *world, r task.Run) error {
			got := w.Read(r.ID)
			if got.Attempt.End.Cause != task.LeaseExpired || !w.Answered("t1") || len(w.Live(r.ID)) != 0 {
				return fmt.Errorf("live %v, run %+v", w.Live(r.ID), got)
			}
			return nil
		}, tenant.Load{Running: 1}, late},
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
		}, tenant.Load{Running: 1}, late},
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
		}, tenant.Load{}, late},
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
		}, tenant.Load{Waiting: 1}, late},
}

func TestEachCrashIsHealedByWhatIsFound(t *testing.T) {
	for _, s := range slices.Concat(scenes, before) {
		t.Run(s.why, func(t *testing.T) {
			w := newWorld(t)
			w.Submit(1)
			r := s.prepare(w)
			w.Clock.Advance(s.after)
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
	for _, s := range slices.Concat(scenes, before) {
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
	for _, s := range slices.Concat(scenes, before) {
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
	for _, s := range slices.Concat(scenes, before) {
		for _, lost := range []bool{false, true} {
			reached := true
			for calls := 0; reached; calls++ {
				if calls > maxCalls {
					t.Fatal("the reaper never ends")
				}
				w := newWorld(t)
				w.Submit(1)
				r := s.prepare(w)
				w.Clock.Advance(s.after)
				cut := settlementtest.After(calls)
				cut.Lost = lost
				_ = w.reap(cut)
				reached = cut.Reached()
				w.Clock.Advance(s.after)
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

// The claim that comes while the reaper asks ECS wins: what was seen of the
// container holds only before the claim. After an end it is refused.
func TestAClaimThatComesFirstWins(t *testing.T) {
	for _, dead := range []bool{true, false} {
		w := newWorld(t)
		w.Submit(1)
		r := w.Unclaimed("t1")
		if dead {
			w.die(r)
		}
		w.Clock.Advance(look)
		var claimed task.Run
		rp := w.reaper(nil)
		rp.fleet = looking{w.Fleet(nil), func() error { claimed = w.ClaimOf(r); return nil }}
		w.Must(rp.handle(context.Background()))
		if got := w.Read(r.ID); !reflect.DeepEqual(got, claimed) || got.State != task.Running || w.Answered("t1") || w.Looks() != 1 {
			t.Errorf("dead %v: %d looks, claimed as %+v, now %+v", dead, w.Looks(), claimed, got)
		}
	}
}

func TestAClaimAfterALookThatFoundTheContainerStoppedIsRefused(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.Unclaimed("t1")
	w.die(r)
	w.Clock.Advance(look)
	w.Must(w.reap(nil))
	ended := w.Read(r.ID)
	if _, err := w.Claim(context.Background(), w.Tenant, r.ID, 1, "late", w.Clock.Now().Add(late), table.By{}); !errors.Is(err, table.ErrStale) {
		t.Errorf("claim: %v", err)
	}
	// Nor does the event that was lost change anything, should it come after all.
	_, err := w.EndAttempt(context.Background(), w.Tenant, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, ExitCode: 9, Detail: "late", At: w.Clock.Now()})
	w.Must(err)
	if got := w.Read(r.ID); !reflect.DeepEqual(got, ended) {
		t.Errorf("%+v became %+v", ended, got)
	}
}

// looking does something while the reaper waits for ECS's answer.
type looking struct {
	settlementtest.Fleet
	meanwhile func() error
}

func (l looking) Look(ctx context.Context, arn string) (fleet.Stopped, bool, error) {
	s, stopped, err := l.Fleet.Look(ctx, arn)
	return s, stopped, errors.Join(err, l.meanwhile())
}

func TestALookThatFailsLeavesTheRunForTheNextRound(t *testing.T) {
	w := newWorld(t)
	w.Submit(2)
	r, other := w.Unclaimed("t1"), w.Unclaimed("t2")
	w.die(r)
	w.die(other)
	w.Clock.Advance(look)
	was := w.Read(r.ID)
	rp := w.reaper(nil)
	rp.fleet = looking{w.Fleet(nil), func() error { return errors.New("ECS is down") }}
	for round := 1; round <= 3; round++ {
		w.Must(rp.handle(context.Background()))
		if got := w.Read(r.ID); !reflect.DeepEqual(got, was) || w.Answered("t1") || w.Looks() != 2*round {
			t.Fatalf("round %d: %d looks, %+v became %+v", round, w.Looks(), was, got)
		}
		w.Clock.Advance(time.Second)
	}
	w.Must(w.reap(nil))
	if !w.Answered("t1") || !w.Answered("t2") || w.Looks() != 8 {
		t.Errorf("after the outage: %d looks, %+v", w.Looks(), w.Read(r.ID))
	}
}

// A container that lives is asked after once each heartbeat lease, and has the
// claim's whole lease to come.
func TestALivingContainerHasTheWholeLeaseOfTheClaim(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	r := w.Unclaimed("t1")
	lease := r.LeaseUntil.Sub(w.Clock.Now())
	for passed := time.Minute; passed < lease; passed += time.Minute {
		w.Clock.Advance(time.Minute)
		w.Must(w.reap(nil))
		if got := w.Read(r.ID); !got.Attempt.Open() || !got.LeaseUntil.Equal(r.LeaseUntil) || len(w.Live(r.ID)) != 1 || w.Answered("t1") {
			t.Fatalf("after %s: %+v", passed, got)
		}
	}
	if w.Looks() != 2 { // at 120 and 240 s
		t.Errorf("%d looks", w.Looks())
	}
	w.Clock.Advance(time.Minute)
	w.Must(w.reap(nil))
	if got := w.Read(r.ID); got.Attempt.End.Cause != task.LeaseExpired || len(w.Live(r.ID)) != 0 || !w.Answered("t1") || w.Looks() != 2 {
		t.Errorf("after its lease, %d looks: %+v", w.Looks(), got)
	}
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
