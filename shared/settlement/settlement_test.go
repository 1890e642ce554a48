package settlement_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/clock"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
)

func newWorld(t *testing.T) (*settlementtest.World, settlement.Settler) {
	c := clock.NewManual(settlementtest.Start)
	w := settlementtest.New(t, enginetest.Table(t, c), c, "pro")
	return w, settlement.Settler{Store: w.Table, Clock: c, Timing: task.DefaultTiming}
}

func TestAWaitingRunIsCancelledAtOnceAndOnlyOnce(t *testing.T) {
	w, s := newWorld(t)
	tk := w.Submit(2)
	ctx, run := context.Background(), w.Read(tk.Runs[0].ID)
	for range 2 {
		got, err := s.Queued(ctx, w.Tenant, run)
		w.Must(err)
		if got.State != task.Cancelled || got.Reason != task.ReasonCancelled {
			t.Errorf("run: %+v", got)
		}
	}
	if l := w.Load(); l.Waiting != 1 || l.Running != 0 {
		t.Errorf("load: %+v", l)
	}
	if next := w.StartNext(); next.ID != tk.Runs[1].ID {
		t.Errorf("%s starts next: the cancelled run is still in the queue", next.ID)
	}
}

func TestARunThatStartsWhileItIsCancelledIsLeftToItsExecution(t *testing.T) {
	w, s := newWorld(t)
	tk := w.Submit(1)
	asRead := w.Read(tk.Runs[0].ID)
	w.StartNext()
	got, err := s.Queued(context.Background(), w.Tenant, asRead)
	w.Must(err)
	if got.State != task.Starting {
		t.Errorf("run: %+v", got)
	}
	if l := w.Load(); l.Waiting != 0 || l.Running != 1 {
		t.Errorf("load: %+v", l)
	}
}

func TestAnOrphanGoesBackToTheQueueAndStartsUnderANewName(t *testing.T) {
	w, s := newWorld(t)
	w.Submit(1)
	r := w.Running("t")
	ctx := context.Background()
	_, err := w.EndAttempt(ctx, w.Tenant, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, At: w.Clock.Now()})
	w.Must(err)
	d, err := s.Orphan(ctx, w.Tenant, r.ID, r.Starts)
	w.Must(err)
	if got := w.Read(r.ID); !d.Requeue || got.State != task.Queued || got.InfraRetries != 1 {
		t.Errorf("decision %+v, run %+v", d, got)
	}
	if again := w.StartNext(); again.ID != r.ID || again.Starts != 2 {
		t.Errorf("started again: %+v", again)
	}
	// What the first execution still says means nothing now.
	if d, err := s.Orphan(ctx, w.Tenant, r.ID, 1); err != nil || d != (task.Decision{Next: task.NextDone}) {
		t.Errorf("%+v, %v", d, err)
	}
	if l := w.Load(); l.Waiting != 0 || l.Running != 1 {
		t.Errorf("load: %+v", l)
	}
}

// Nobody launches what was an orphan, so that its lease gives nobody time: who
// comes next goes on at once.
func TestAnOrphanWhoseSettlementBreaksOffStaysDue(t *testing.T) {
	w, s := newWorld(t)
	w.Submit(1)
	r := w.Running("t")
	ctx := context.Background()
	_, err := w.EndAttempt(ctx, w.Tenant, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, At: w.Clock.Now()})
	w.Must(err)
	for writes := range 2 {
		broken := s
		broken.Store = &breaking{w.Table, writes}
		if _, err := broken.Orphan(ctx, w.Tenant, r.ID, r.Starts); err == nil {
			t.Fatalf("it did not break off after %d writes", writes)
		}
		if got := w.Read(r.ID); got.State != task.Starting && writes > 0 || got.LeaseUntil.After(w.Clock.Now()) {
			t.Errorf("after %d writes it is %s and its lease ends at %s", writes, got.State, got.LeaseUntil)
		}
	}
	_, err = s.Orphan(ctx, w.Tenant, r.ID, r.Starts)
	w.Must(err)
	if got := w.Read(r.ID); got.State != task.Queued {
		t.Errorf("run: %+v", got)
	}
}

// breaking is a store that takes so many settlements.
type breaking struct {
	settlement.Store
	left int
}

func (b *breaking) Settle(ctx context.Context, tenantID string, s table.Settlement) (task.Run, error) {
	if b.left--; b.left < 0 {
		return task.Run{}, errors.New("broken off")
	}
	return b.Store.Settle(ctx, tenantID, s)
}

// restless is a store in which the run always moves between look and write.
type restless struct{ settlement.Store }

func (restless) Settle(context.Context, string, table.Settlement) (task.Run, error) {
	return task.Run{}, table.ErrStale
}

func TestARunThatNeverStandsStillIsAConflict(t *testing.T) {
	w, s := newWorld(t)
	w.Submit(1)
	r := w.Running("t")
	s.Store = restless{w.Table}
	if _, err := s.Settle(context.Background(), w.Tenant, r.ID, r.Starts); !errors.Is(err, table.ErrConflict) {
		t.Errorf("%v", err)
	}
	if live := w.Live(r.ID); !slices.Equal(live, []int{1}) {
		t.Errorf("live: %v", live)
	}
}
