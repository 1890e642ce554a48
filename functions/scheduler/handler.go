package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/clock"
	"outpost/shared/fairshare"
	"outpost/shared/metric"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
	"outpost/shared/wakeup"
	"outpost/shared/workflow"
)

type store interface {
	Waiting(ctx context.Context, limit int) ([]table.Waiter, error)
	Standing(ctx context.Context, tenantID string) (table.Standing, error)
	Queue(ctx context.Context, tenantID string, limit int) ([]table.QueueEntry, error)
	StartRun(ctx context.Context, tenantID string, s table.Start) (task.Run, tenant.Load, error)
	Park(ctx context.Context, tenantID string, load tenant.Load) error
	FleetVirtualTime(ctx context.Context) (float64, error)
	SetFleetVirtualTime(ctx context.Context, v float64) error
	CountInflight(ctx context.Context) (int, error)
}

type starter interface {
	Start(ctx context.Context, in workflow.Input) error
}

// scheduler runs one at a time, for fairness only: that no tenant passes its
// cap is held by the condition of StartRun. The fleet's cap is soft: what is in
// flight is counted in an index.
type scheduler struct {
	store    store
	workflow starter
	clock    clock.Clock
	lease    time.Duration // from a start until a worker must have claimed
	fleetCap int
	metrics  *metric.Emitter
}

const (
	maxTenants = 200 // of the waiting index, looked at in one round
	spareHints = 16
	maxRounds  = 20 // of picking and starting in one invocation
	// spare is what of the function's time is left for the start in hand.
	spare = 5 * time.Second
)

// handle looks at the tenants of the wakeups and at those of the waiting index,
// and starts what may start. It logs its errors and returns success: a bad
// message must not block the queue's one group, and the reaper wakes it again
// within a minute.
func (s scheduler) handle(ctx context.Context, e events.SQSEvent) error {
	woken := tenants(ctx, e)
	if err := s.schedule(ctx, woken); err != nil {
		slog.ErrorContext(ctx, "schedule", "woken", len(woken), "error", err)
	}
	return nil
}

// tenants returns the tenants that the messages name, each once.
func tenants(ctx context.Context, e events.SQSEvent) []string {
	var ids []string
	for _, m := range e.Records {
		id, err := wakeup.Parse(m.Body)
		if err != nil {
			slog.ErrorContext(ctx, "drop a message", "message", m.MessageId, "error", err)
		} else if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (s scheduler) schedule(ctx context.Context, woken []string) error {
	inflight, err := s.store.CountInflight(ctx)
	if err != nil {
		return err
	}
	free := s.fleetCap - inflight // counted once: the index lags behind our own starts
	for range maxRounds {
		started, more, err := s.round(ctx, woken, free)
		if err != nil || !more || !timeLeft(ctx) {
			return err
		}
		free -= started
	}
	return nil
}

// round looks, picks and starts once. It tells how many it started, and whether
// another round may find more.
func (s scheduler) round(ctx context.Context, woken []string, free int) (started int, more bool, err error) {
	// Every tenant of the index can start something, so there is no need of more
	// of them than there are free slots, and those with the smallest virtual
	// time come first. A few more make up for hints of the past.
	limit := min(max(free, 0)+spareHints, maxTenants)
	hints, err := s.store.Waiting(ctx, limit)
	if err != nil {
		return 0, false, err
	}
	found := s.look(ctx, woken, hints)
	virtual, err := s.store.FleetVirtualTime(ctx)
	if err != nil {
		return 0, false, err
	}
	after := virtual
	for _, p := range fairshare.Decide(found.shares(), virtual, free) {
		c := found[p.Tenant]
		if c.moved || !timeLeft(ctx) {
			continue
		}
		if err := s.start(ctx, p, c); errors.Is(err, table.ErrStale) {
			c.moved, more = true, true // its other picks are of the past
		} else if err != nil {
			c.moved = true
			slog.ErrorContext(ctx, "start a run", "tenant", p.Tenant, "error", err)
		} else {
			started, after = started+1, p.Fleet
		}
	}
	if after > virtual {
		if err := s.store.SetFleetVirtualTime(ctx, after); err != nil {
			return started, false, err
		}
	}
	parked := s.park(ctx, found)
	// A full page of hints may hide others, if this round made place for them.
	return started, more || (len(hints) == limit && started < free && started+parked > 0), nil
}

// start starts the candidate's next run: the table first, then the execution. A
// crash in between is healed by the reaper.
func (s scheduler) start(ctx context.Context, p fairshare.Pick, c *candidate) error {
	if len(c.queue) == 0 {
		q, err := s.store.Queue(ctx, p.Tenant, min(c.share.Waiting, c.share.Cap))
		if err != nil {
			return err
		}
		if len(q) == 0 {
			return table.ErrStale
		}
		c.queue = q
	}
	entry := c.queue[0]
	c.queue = c.queue[1:]
	run, load, err := s.store.StartRun(ctx, p.Tenant, table.Start{Entry: entry, Cap: c.share.Cap, Load: c.load,
		VirtualTime: p.VirtualTime, LeaseUntil: s.clock.Now().Add(s.lease)})
	if err != nil {
		return err
	}
	c.load = load
	now := s.clock.Now()
	s.metrics.Emit(metric.RunsStarted, 1, now, "tenant", p.Tenant, "run", run.ID)
	s.metrics.Emit(metric.QueueSeconds, now.Sub(run.CreatedAt).Seconds(), now, "tenant", p.Tenant, "run", run.ID)
	if err := s.workflow.Start(ctx, workflow.Input{Tenant: p.Tenant, Run: run.ID, Start: run.Starts}); err != nil {
		slog.ErrorContext(ctx, "start an execution; the reaper will", "tenant", p.Tenant, "run", run.ID, "error", err)
	}
	return nil
}

// park takes tenants out of the waiting index that can start nothing now. What
// changes that, an admission or a settlement, puts them back. One that moved
// meanwhile stays.
func (s scheduler) park(ctx context.Context, found candidates) (parked int) {
	for id, c := range found {
		if c.moved || (c.load.Waiting > 0 && c.load.Running < c.share.Cap) {
			continue
		}
		err := s.store.Park(ctx, id, c.load)
		if err == nil {
			parked++
		} else if !errors.Is(err, table.ErrStale) {
			slog.ErrorContext(ctx, "park a tenant", "tenant", id, "error", err)
		}
	}
	return parked
}

func timeLeft(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(end) > spare)
}
