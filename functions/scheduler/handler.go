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

// scheduler runs one at a time, for fairness only: that no cap is passed is
// held by the conditions of StartRun.
type scheduler struct {
	store    store
	workflow starter
	clock    clock.Clock
	lease    time.Duration
	fleetCap int
}

const (
	maxTenants = 200 // looked at in one round
	maxRounds  = 10  // of picking and starting in one invocation
)

// handle looks at the tenants of the wakeups and at those of the waiting index.
// It logs its errors and returns success: a bad message must not block the
// queue's one group, and the reaper wakes it again within a minute.
func (s scheduler) handle(ctx context.Context, e events.SQSEvent) error {
	var woken []string
	for _, m := range e.Records {
		t, err := wakeup.Parse(m.Body)
		if err != nil {
			slog.ErrorContext(ctx, "drop a message", "message", m.MessageId, "error", err)
			continue
		}
		if !slices.Contains(woken, t) {
			woken = append(woken, t)
		}
	}
	for range maxRounds {
		more, err := s.round(ctx, woken)
		if err != nil {
			slog.ErrorContext(ctx, "schedule", "error", err)
			return nil
		}
		if !more {
			return nil
		}
	}
	return nil
}

// round reads, picks and starts once. It tells whether another round may find
// more: something moved while it looked.
func (s scheduler) round(ctx context.Context, woken []string) (more bool, err error) {
	ids := slices.Clone(woken)
	hints, err := s.store.Waiting(ctx, maxTenants)
	if err != nil {
		return false, err
	}
	for _, h := range hints {
		if !slices.Contains(ids, h.Tenant) {
			ids = append(ids, h.Tenant)
		}
	}
	loads := map[string]tenant.Load{}
	caps := map[string]int{}
	var tenants []fairshare.Tenant
	for _, id := range ids {
		standing, err := s.store.Standing(ctx, id)
		if err != nil {
			slog.ErrorContext(ctx, "look at a tenant", "tenant", id, "error", err)
			continue
		}
		limits, err := standing.Entitlement.Limits()
		if err != nil || standing.Entitlement.State != tenant.Active {
			limits.ConcurrentRuns = 0 // nothing starts; what waits stays
		}
		l := standing.Load
		if l.Waiting == 0 || l.Running >= limits.ConcurrentRuns {
			if err := s.store.Park(ctx, id, l); errors.Is(err, table.ErrStale) {
				more = true
			} else if err != nil {
				return false, err
			}
			continue
		}
		loads[id], caps[id] = l, limits.ConcurrentRuns
		tenants = append(tenants, fairshare.Tenant{ID: id, Weight: limits.Weight, VirtualTime: l.VirtualTime,
			Waiting: l.Waiting, Running: l.Running, Cap: limits.ConcurrentRuns})
	}
	if len(tenants) == 0 {
		return more, nil
	}
	fleet, err := s.store.FleetVirtualTime(ctx)
	if err != nil {
		return false, err
	}
	inflight, err := s.store.CountInflight(ctx)
	if err != nil {
		return false, err
	}
	picks, after := fairshare.Decide(tenants, fleet, s.fleetCap-inflight)
	queues := map[string][]table.QueueEntry{}
	stale := map[string]bool{}
	for _, p := range picks {
		if stale[p.Tenant] {
			continue
		}
		load, err := s.start(ctx, p, loads[p.Tenant], caps[p.Tenant], queues)
		switch {
		case errors.Is(err, table.ErrStale):
			stale[p.Tenant] = true // it moved: its other picks are of the past
		case err != nil:
			stale[p.Tenant] = true
			slog.ErrorContext(ctx, "start a run", "tenant", p.Tenant, "error", err)
		default:
			loads[p.Tenant] = load
		}
	}
	if after > fleet {
		if err := s.store.SetFleetVirtualTime(ctx, after); err != nil {
			return false, err
		}
	}
	return len(picks) > 0, nil
}

// start starts the tenant's next run: the table first, then the execution. A
// crash in between is healed by the reaper.
func (s scheduler) start(ctx context.Context, p fairshare.Pick, load tenant.Load, limit int, queues map[string][]table.QueueEntry) (tenant.Load, error) {
	if len(queues[p.Tenant]) == 0 {
		q, err := s.store.Queue(ctx, p.Tenant, limit)
		if err != nil {
			return load, err
		}
		if len(q) == 0 {
			return load, table.ErrStale
		}
		queues[p.Tenant] = q
	}
	entry := queues[p.Tenant][0]
	queues[p.Tenant] = queues[p.Tenant][1:]
	run, load, err := s.store.StartRun(ctx, p.Tenant, table.Start{Entry: entry, Cap: limit, Load: load,
		VirtualTime: p.VirtualTime, LeaseUntil: s.clock.Now().Add(s.lease)})
	if err != nil {
		return load, err
	}
	if err := s.workflow.Start(ctx, workflow.Input{Tenant: p.Tenant, Run: run.ID, Start: run.Starts}); err != nil {
		slog.ErrorContext(ctx, "start an execution; the reaper will", "tenant", p.Tenant, "run", run.ID, "error", err)
	}
	return load, nil
}
