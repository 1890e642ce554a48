// Package settlement carries out what task.Decide says about a run whose
// attempt is over. The state machine's Settle does it, the reaper where there
// is no state machine any more, and cancel for a run that never started.
package settlement

import (
	"context"
	"errors"
	"fmt"
	"time"

	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/task"
)

// Store is the part of the table that settling needs.
type Store interface {
	Run(ctx context.Context, tenantID, runID string) (task.Run, error)
	ExtendLease(ctx context.Context, tenantID, runID string, until time.Time) error
	Settle(ctx context.Context, tenantID string, s table.Settlement) (task.Run, error)
}

// Settler settles runs.
type Settler struct {
	Store  Store
	Clock  clock.Clock
	Timing task.Timing
}

// maxLooks bounds how often a run that keeps moving is looked at again.
const maxLooks = 10

// Settle decides about the run as it is stored, for the execution of that start
// of it, and carries that out. It returns the decision. It may be repeated: a
// run that has ended stays as it is.
func (s Settler) Settle(ctx context.Context, tenantID, runID string, start int) (task.Decision, error) {
	run, err := s.Store.Run(ctx, tenantID, runID)
	if err != nil {
		return task.Decision{}, fmt.Errorf("settle %s: %w", runID, err)
	}
	_, d, err := s.carryOut(ctx, tenantID, run, func(run task.Run, now time.Time) task.Decision { return s.decide(run, start, now) })
	return d, err
}

func (s Settler) decide(run task.Run, start int, now time.Time) task.Decision {
	if run.Starts != start {
		return task.Decision{Next: task.NextDone} // another execution's business
	}
	return task.Decide(run, now, s.Timing)
}

// Orphan settles a run whose execution has closed. Nobody would launch it again
// under that execution's name, so what Settle would try again goes back to the
// queue and starts anew. The run's lease stays over until it is there: should
// this break off, the reaper's next round goes on.
func (s Settler) Orphan(ctx context.Context, tenantID, runID string, start int) (task.Decision, error) {
	run, err := s.Store.Run(ctx, tenantID, runID)
	if err != nil {
		return task.Decision{}, fmt.Errorf("settle %s: %w", runID, err)
	}
	again := false
	run, d, err := s.carryOut(ctx, tenantID, run, func(run task.Run, now time.Time) task.Decision {
		d := s.decide(run, start, now)
		again, d.Next = d.Next != task.NextDone, task.NextDone // no launch follows that would need its time
		return d
	})
	if err != nil || !again {
		return d, err
	}
	_, d, err = s.carryOut(ctx, tenantID, run, func(run task.Run, _ time.Time) task.Decision {
		waits := run.State == task.Starting && run.Starts == start && !run.Attempt.Open()
		return task.Decision{Next: task.NextDone, Requeue: waits}
	})
	return d, err
}

// Queued ends a waiting run on request and returns it. A run that has started
// meanwhile is left to its execution.
func (s Settler) Queued(ctx context.Context, tenantID string, run task.Run) (task.Run, error) {
	run, _, err := s.carryOut(ctx, tenantID, run, func(run task.Run, _ time.Time) task.Decision {
		if run.State != task.Queued {
			return task.Decision{Next: task.NextDone}
		}
		return task.Decision{Next: task.NextDone, End: task.Cancelled, Reason: task.ReasonCancelled}
	})
	return run, err
}

// carryOut decides about the run and stores what follows, anew as long as the
// run moves in between.
func (s Settler) carryOut(ctx context.Context, tenantID string, run task.Run, decide func(task.Run, time.Time) task.Decision) (task.Run, task.Decision, error) {
	for range maxLooks {
		now := s.Clock.Now()
		d := decide(run, now)
		if d.Next != task.NextDone {
			// The next launch is not late before it has had its time.
			if err := s.Store.ExtendLease(ctx, tenantID, run.ID, now.Add(d.Wait+s.Timing.ClaimLease)); err != nil {
				return run, d, fmt.Errorf("settle %s: %w", run.ID, err)
			}
		}
		settled, err := s.Store.Settle(ctx, tenantID, table.Settlement{Run: run, Decision: d, Now: now})
		if err == nil {
			return settled, d, nil
		}
		if !errors.Is(err, table.ErrStale) {
			return run, d, fmt.Errorf("settle %s: %w", run.ID, err)
		}
		if run, err = s.Store.Run(ctx, tenantID, run.ID); err != nil {
			return run, d, fmt.Errorf("settle %s: %w", run.ID, err)
		}
	}
	return run, task.Decision{}, fmt.Errorf("settle %s: %w", run.ID, table.ErrConflict)
}
