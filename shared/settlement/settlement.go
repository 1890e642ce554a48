// Package settlement carries out what task.Decide says about a run whose
// attempt is over. The state machine's Settle does it, the reaper where there
// is no state machine any more, and cancel for a run that never started.
package settlement

import (
	"context"
	"errors"
	"fmt"

	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/task"
)

// Store is the part of the table that settling needs.
type Store interface {
	Run(ctx context.Context, tenantID, runID string) (task.Run, error)
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

// Settle decides about the run as it is stored and carries that out. It returns
// the decision. It may be repeated: a run that has ended stays as it is.
func (s Settler) Settle(ctx context.Context, tenantID, runID string, start int) (task.Decision, error) {
	for range maxLooks {
		run, err := s.Store.Run(ctx, tenantID, runID)
		if err != nil {
			return task.Decision{}, fmt.Errorf("settle %s: %w", runID, err)
		}
		if run.Starts != start {
			return task.Decision{Next: task.NextDone}, nil // another execution's business
		}
		now := s.Clock.Now()
		d := task.Decide(run, now, s.Timing)
		if _, err = s.Store.Settle(ctx, tenantID, table.Settlement{Run: run, Decision: d, Now: now}); err == nil {
			return d, nil
		}
		if !errors.Is(err, table.ErrStale) {
			return task.Decision{}, fmt.Errorf("settle %s: %w", runID, err)
		}
	}
	return task.Decision{}, fmt.Errorf("settle %s: %w", runID, table.ErrConflict)
}

// Queued ends a waiting run on request. A run that has started meanwhile is
// left to its execution.
func (s Settler) Queued(ctx context.Context, tenantID string, run task.Run) (task.Run, error) {
	for range maxLooks {
		if run.State != task.Queued {
			return run, nil
		}
		now := s.Clock.Now()
		d := task.Decision{Next: task.NextDone, End: task.Cancelled, Reason: task.ReasonCancelled}
		ended, err := s.Store.Settle(ctx, tenantID, table.Settlement{Run: run, Decision: d, Now: now})
		if err == nil {
			return ended, nil
		}
		if !errors.Is(err, table.ErrStale) {
			return run, fmt.Errorf("cancel %s: %w", run.ID, err)
		}
		if run, err = s.Store.Run(ctx, tenantID, run.ID); err != nil {
			return run, fmt.Errorf("cancel %s: %w", run.ID, err)
		}
	}
	return run, fmt.Errorf("cancel %s: %w", run.ID, table.ErrConflict)
}
