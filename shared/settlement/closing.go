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

// ClosingStore is the part of the table that ending a tenant's runs needs.
type ClosingStore interface {
	Store
	Queue(ctx context.Context, tenantID string, limit int) ([]table.QueueEntry, error)
	InflightOf(ctx context.Context, tenantID string) (runs []string, err error)
	RequestCancel(ctx context.Context, tenantID, runID string, by table.By) (task.Run, error)
}

// Closing ends the runs of closed tenants, for whom none starts any more.
type Closing struct {
	Store ClosingStore
	Clock clock.Clock
}

// WithTenant is the detail of the events by which End asks runs to end.
const WithTenant = "with its tenant"

// queuedAtOnce are read before they are ended.
const queuedAtOnce = 100

// End asks a closed tenant's runs in flight to end, and cancels those that wait. by
// tells who asks a run. It stops when only spare is left of the context's time. It
// may be repeated: whatever was not reached, or hidden by an index of the past, is
// found by the next call.
func (c Closing) End(ctx context.Context, tenantID string, spare time.Duration, by func(runID string) table.By) error {
	inflight, err := c.Store.InflightOf(ctx, tenantID)
	if err != nil {
		return fmt.Errorf("end the runs of %s: %w", tenantID, err)
	}
	for _, runID := range inflight {
		if _, err := c.Store.RequestCancel(ctx, tenantID, runID, by(runID)); err != nil && !errors.Is(err, table.ErrNotFound) {
			return fmt.Errorf("end %s: %w", runID, err)
		}
	}
	settler := Settler{Store: c.Store, Clock: c.Clock}
	for {
		waiting, err := c.Store.Queue(ctx, tenantID, queuedAtOnce)
		if err != nil || len(waiting) == 0 {
			return err
		}
		for _, w := range waiting {
			if end, ok := ctx.Deadline(); ok && time.Until(end) < spare {
				return nil
			}
			run, err := c.Store.Run(ctx, tenantID, w.Run)
			if err != nil {
				return fmt.Errorf("end %s: %w", w.Run, err)
			}
			if _, err := settler.Queued(ctx, tenantID, run); err != nil {
				return err
			}
		}
	}
}
