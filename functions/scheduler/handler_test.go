package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/metric"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
	"outpost/shared/workflow"
)

type world struct {
	*settlementtest.World
	name string // of the table
	s    scheduler
}

func newWorld(t testing.TB) *world {
	c := clock.NewManual(settlementtest.Start)
	client := enginetest.Client(t, nil)
	name := enginetest.TableName(t, client)
	w := &world{World: settlementtest.New(t, table.New(client, name, c), c, "pro"), name: name}
	w.s = w.scheduler(nil)
	return w
}

func (w *world) scheduler(cut *settlementtest.Cut) scheduler {
	store := w.Table
	if cut != nil {
		store = table.New(enginetest.Client(w.T, cut), w.name, w.Clock)
	}
	return scheduler{store: store, workflow: w.Workflow(cut), clock: w.Clock, lease: time.Minute, fleetCap: 200, metrics: metric.New("Outpost", w.T.Output())}
}

// wake runs the scheduler on wakeups of these tenants.
func (w *world) wake(s scheduler, tenants ...string) {
	w.T.Helper()
	var e events.SQSEvent
	for _, id := range tenants {
		e.Records = append(e.Records, events.SQSMessage{Body: fmt.Sprintf(`{"tenant":%q}`, id)})
	}
	w.Must(s.handle(context.Background(), e))
}

func (w *world) load(tenantID string) tenant.Load {
	w.T.Helper()
	st, err := w.Standing(context.Background(), tenantID)
	w.Must(err)
	return st.Load
}

func (w *world) waiting() (ids []string) {
	w.T.Helper()
	hints, err := w.Waiting(context.Background(), 1000)
	w.Must(err)
	for _, h := range hints {
		ids = append(ids, h.Tenant)
	}
	return ids
}

// other makes another tenant of a plan that submits n runs.
func (w *world) other(planName string, n int) string {
	w.T.Helper()
	id, caller := w.NewTenant(tenant.Entitlement{Plan: planName, State: tenant.Active, Version: 1})
	w.SubmitAs(caller, n)
	return id
}

func TestWaitingRunsStartUpToTheTenantsCap(t *testing.T) {
	w := newWorld(t)
	tk := w.Submit(7) // pro: 5 at once
	w.wake(w.s, w.Tenant)
	if l := w.Load(); l.Running != 5 || l.Waiting != 2 {
		t.Errorf("load: %+v", l)
	}
	for i, r := range tk.Runs {
		got, open := w.Read(r.ID), w.Executions(r.ID)
		if started := i < 5; (got.State == task.Starting) != started || (len(open) == 1) != started {
			t.Errorf("run %d is %s with executions %v", r.Number, got.State, open)
		}
		if i < 5 && !got.LeaseUntil.Equal(w.Clock.Now().Add(time.Minute)) {
			t.Errorf("run %d has a lease until %s", r.Number, got.LeaseUntil)
		}
	}
	if ids := w.waiting(); len(ids) != 0 {
		t.Errorf("at its cap the tenant is still in the waiting index: %v", ids)
	}
}

func TestATenantWhoseWakeupWasLostIsFoundThroughTheIndex(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	quiet := w.other("pro", 1)
	w.wake(w.s, w.Tenant)
	if l := w.load(quiet); l.Running != 1 {
		t.Errorf("load: %+v", l)
	}
}

func TestTheFleetsCapIsKept(t *testing.T) {
	w := newWorld(t)
	w.Submit(5)
	w.other("pro", 5)
	w.s.fleetCap = 4
	w.wake(w.s, w.Tenant)
	w.wake(w.s, w.Tenant)
	n, err := w.CountInflight(context.Background())
	w.Must(err)
	if n != 4 {
		t.Errorf("%d runs in flight, the cap is 4", n)
	}
	if ids := w.waiting(); len(ids) != 2 {
		t.Errorf("in the waiting index: %v", ids)
	}
}

func TestSlotsAreSharedByWeight(t *testing.T) {
	w := newWorld(t)
	w.Submit(5) // pro, weight 4
	big := w.other("enterprise", 20)
	w.s.fleetCap = 5
	w.wake(w.s, w.Tenant)
	if pro, enterprise := w.Load().Running, w.load(big).Running; pro != 1 || enterprise != 4 {
		t.Errorf("of 5 slots pro has %d and enterprise %d", pro, enterprise)
	}
	virtual, err := w.FleetVirtualTime(context.Background())
	w.Must(err)
	if virtual <= 0 {
		t.Errorf("the fleet's virtual time stands at %v", virtual)
	}
}

func TestNothingStartsForATenantThatIsNotActive(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	w.s.store = suspended{w.Table}
	w.wake(w.s, w.Tenant)
	if l := w.Load(); l.Running != 0 || l.Waiting != 1 {
		t.Errorf("load: %+v", l)
	}
}

// What a change of the limits lets start is started though the wakeup was lost: the
// change itself puts the tenant back into the index that everybody looks at.
func TestWhatANewLimitLetsStartIsFoundThroughTheIndex(t *testing.T) {
	for name, c := range map[string]struct {
		before, after tenant.Change
		running       [2]int
	}{
		"a suspended tenant that is active again": {tenant.Change{State: new(tenant.Suspended)}, tenant.Change{State: new(tenant.Active)}, [2]int{0, 5}},
		"a greater plan":                {tenant.Change{}, tenant.Change{Plan: new("enterprise")}, [2]int{5, 9}},
		"an override":                   {tenant.Change{Limits: tenant.OverridesChange{ConcurrentRuns: tenant.To(2)}}, tenant.Change{Limits: tenant.OverridesChange{ConcurrentRuns: tenant.To(7)}}, [2]int{2, 7}},
		"an override that is taken off": {tenant.Change{Limits: tenant.OverridesChange{ConcurrentRuns: tenant.To(2)}}, tenant.Change{Limits: tenant.OverridesChange{ConcurrentRuns: tenant.To(0)}}, [2]int{2, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change := func(c tenant.Change) {
				by := table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now(), Action: "tenant.update", Actor: "test"}}
				_, err := w.ChangeTenant(t.Context(), w.Tenant, by, func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(c) })
				w.Must(err)
			}
			w.Submit(9)
			change(c.before)
			for i, step := range []func(){func() {}, func() { change(c.after) }} {
				step()
				w.wake(w.s) // on nobody's behalf
				w.wake(w.s)
				if l := w.Load(); l.Running != c.running[i] || l.Waiting != 9-c.running[i] {
					t.Errorf("step %d: %+v, want %d running", i, l, c.running[i])
				}
				if ids := w.waiting(); len(ids) != 0 {
					t.Errorf("step %d: at its cap the tenant is still in the index: %v", i, ids)
				}
			}
		})
	}
}

// A tenant is suspended and reinstated over and over while the scheduler looks, each
// of its wakeups lost. Once it stays active, all that may start starts: no look of a
// moment when it was suspended has taken it out of the index for good.
func TestChangesAndLooksAtOnceLeaveNobodyBehind(t *testing.T) {
	for range 10 {
		w := newWorld(t)
		w.Submit(4)
		done := make(chan struct{})
		var looks sync.WaitGroup
		looks.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					w.wake(w.s)
				}
			}
		})
		for i := range 9 { // the last one makes it active
			state := []tenant.State{tenant.Active, tenant.Suspended}[i%2]
			by := table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now(), Action: "tenant.update", Actor: "test"}}
			_, err := w.ChangeTenant(t.Context(), w.Tenant, by, func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(tenant.Change{State: &state}) })
			w.Must(err)
		}
		close(done)
		looks.Wait()
		w.wake(w.s)
		if l := w.Load(); l.Running != 4 || l.Waiting != 0 {
			t.Fatalf("%+v, in the index: %v", l, w.waiting())
		}
	}
}

// A scheduler that judged by the old limits does not park a tenant that has new
// ones.
func TestALookOfThePastParksNobody(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	seen := w.Load()
	by := table.By{Audit: audit.Event{ID: id.New(id.Audit, w.Clock.Now()), At: w.Clock.Now(), Action: "tenant.update", Actor: "test"}}
	_, err := w.ChangeTenant(t.Context(), w.Tenant, by, func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(tenant.Change{Plan: new("enterprise")}) })
	w.Must(err)
	if err := w.Park(t.Context(), w.Tenant, seen); !errors.Is(err, table.ErrStale) || len(w.waiting()) != 1 {
		t.Errorf("%v, in the index: %v", err, w.waiting())
	}
}

// suspended shows every tenant as suspended.
type suspended struct{ *table.Table }

func (s suspended) Standing(ctx context.Context, id string) (table.Standing, error) {
	st, err := s.Table.Standing(ctx, id)
	st.Entitlement.State = tenant.Suspended
	return st, err
}

func TestBadMessagesAreDroppedAndTheOthersServed(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	raw, err := os.ReadFile("../../events/sqs-wakeups.json")
	w.Must(err)
	var e events.SQSEvent
	w.Must(json.Unmarshal(raw, &e))
	if len(e.Records) != 2 {
		t.Fatalf("the sample holds %d messages", len(e.Records))
	}
	// The sample names a tenant that is not in this table, and no tenant at all.
	e.Records = append(e.Records, events.SQSMessage{Body: strings.Replace(e.Records[0].Body, "ten_01KAR5G5M0000000000000000A", w.Tenant, 1)})
	w.Must(w.s.handle(context.Background(), e))
	if l := w.Load(); l.Running != 1 {
		t.Errorf("load: %+v", l)
	}
}

func TestATenantThatCannotBeReadDoesNotStopTheOthers(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	good := w.other("pro", 1)
	w.s.store = unreadable{w.Table, w.Tenant}
	w.wake(w.s, w.Tenant)
	if w.Load().Running != 0 || w.load(good).Running != 1 {
		t.Errorf("loads: %+v, %+v", w.Load(), w.load(good))
	}
}

// unreadable fails for one tenant.
type unreadable struct {
	*table.Table
	tenant string
}

func (u unreadable) Standing(ctx context.Context, id string) (table.Standing, error) {
	if id == u.tenant {
		return table.Standing{}, errors.New("no answer")
	}
	return u.Table.Standing(ctx, id)
}

func TestARunThatIsAdmittedMeanwhileIsStartedInTheNextRound(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	w.s.store = &moving{Table: w.Table, move: func() { w.Submit(1) }}
	w.wake(w.s, w.Tenant)
	if l := w.Load(); l.Running != 2 || l.Waiting != 0 {
		t.Errorf("load: %+v", l)
	}
}

func TestTheFleetsCapIsKeptOverRounds(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	w.other("pro", 1)
	w.s.fleetCap = 2
	w.s.store = &moving{Table: w.Table, move: func() { w.Submit(1) }}
	w.wake(w.s, w.Tenant) // one starts at once, the other tenant moves: it has one slot in the second round
	n, err := w.CountInflight(context.Background())
	w.Must(err)
	if n != 2 {
		t.Errorf("%d runs in flight, the cap is 2", n)
	}
}

// moving moves the tenant once, after the scheduler has looked at it.
type moving struct {
	*table.Table
	move func()
}

func (m *moving) FleetVirtualTime(ctx context.Context) (float64, error) {
	if m.move != nil {
		m.move()
		m.move = nil
	}
	return m.Table.FleetVirtualTime(ctx)
}

func TestWithNoTimeLeftNothingIsStarted(t *testing.T) {
	w := newWorld(t)
	w.Submit(1)
	ctx, cancel := context.WithTimeout(context.Background(), spare/2)
	defer cancel()
	w.Must(w.s.handle(ctx, events.SQSEvent{}))
	if l := w.Load(); l.Running != 0 {
		t.Errorf("load: %+v", l)
	}
}

func TestTheSchedulerSurvivesACrashAtEveryStep(t *testing.T) {
	const maxCalls = 200
	for _, lost := range []bool{false, true} {
		reached := true
		for calls := 0; reached; calls++ {
			if calls > maxCalls {
				t.Fatal("the scheduler never ends")
			}
			w := newWorld(t)
			tk := w.Submit(3)
			cut := settlementtest.After(calls)
			cut.Lost = lost
			w.wake(w.scheduler(cut), w.Tenant) // success whatever happens: the queue's group goes on
			reached = cut.Reached()
			w.wake(w.s, w.Tenant)
			if l := w.Load(); l.Running != 3 || l.Waiting != 0 {
				t.Fatalf("after %d calls, lost answer %v: load %+v", calls, lost, l)
			}
			without := 0
			for _, r := range tk.Runs {
				got := w.Read(r.ID)
				if got.State != task.Starting || got.Starts != 1 {
					t.Fatalf("after %d calls: %+v", calls, got)
				}
				if open := w.Executions(r.ID); len(open) == 0 {
					without++ // the reaper's to start
				} else if !slices.Equal(open, []string{workflow.Input{Run: r.ID, Start: 1}.Name()}) {
					t.Fatalf("after %d calls: executions %v", calls, open)
				}
			}
			if without > 1 {
				t.Fatalf("after %d calls %d runs have no execution", calls, without)
			}
		}
	}
}

func TestASuspendedTenantsRunsWaitUntilItIsReinstated(t *testing.T) {
	w := newWorld(t)
	tk := w.Submit(3)
	state := func(s tenant.State) {
		t.Helper()
		now := w.Clock.Now()
		_, err := w.ChangeTenant(t.Context(), w.Tenant, table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "tenant.update"}},
			func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(tenant.Change{State: &s}) })
		w.Must(err)
	}
	state(tenant.Suspended)
	for range 2 {
		w.wake(w.s, w.Tenant)
	}
	if l := w.Load(); l.Waiting != 3 || l.Running != 0 {
		t.Errorf("suspended, its load is %+v", l)
	}
	for _, r := range tk.Runs {
		if got := w.Read(r.ID); got.State != task.Queued || !got.CancelRequestedAt.IsZero() {
			t.Errorf("suspended, a run is %s", got.State)
		}
	}
	state(tenant.Active)
	w.wake(w.s, w.Tenant)
	if l := w.Load(); l.Waiting != 0 || l.Running != 3 {
		t.Errorf("reinstated, its load is %+v", l)
	}
}

// suspending is a store by which the operator is faster than the scheduler.
type suspending struct {
	store
	suspend func()
}

func (s suspending) Queue(ctx context.Context, tenantID string, limit int) ([]table.QueueEntry, error) {
	s.suspend()
	return s.store.Queue(ctx, tenantID, limit)
}

func TestATenantThatIsSuspendedWhileTheSchedulerLooksStartsNothing(t *testing.T) {
	w := newWorld(t)
	w.Submit(3)
	var once sync.Once
	w.s.store = suspending{w.s.store, func() {
		once.Do(func() {
			now, suspended := w.Clock.Now(), tenant.Suspended
			_, err := w.ChangeTenant(t.Context(), w.Tenant, table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "tenant.update"}},
				func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(tenant.Change{State: &suspended}) })
			w.Must(err)
		})
	}}
	w.wake(w.s, w.Tenant)
	if l := w.Load(); l.Waiting != 3 || l.Running != 0 {
		t.Errorf("its load is %+v", l)
	}
}
