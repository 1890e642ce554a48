package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"outpost/shared/clock"
	"outpost/shared/settlement"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/workflow"
)

type store interface {
	Overdue(ctx context.Context, now time.Time, limit int) ([]table.InflightRun, error)
	Waiting(ctx context.Context, limit int) ([]table.Waiter, error)
	Run(ctx context.Context, tenantID, runID string) (task.Run, error)
	EndAttempt(ctx context.Context, tenantID, runID string, attempt int, end task.AttemptEnd) (task.Run, error)
	ExtendLease(ctx context.Context, tenantID, runID string, until time.Time) error
}

type machine interface {
	Start(ctx context.Context, in workflow.Input) error
	Describe(ctx context.Context, in workflow.Input) (workflow.Status, error)
	Answer(ctx context.Context, token string) error
}

type stopper interface {
	Stop(ctx context.Context, arn, reason string) error
}

type waker interface {
	Wake(ctx context.Context, tenant string) error
}

type reaper struct {
	store    store
	workflow machine
	fleet    stopper
	waker    waker
	settler  settlement.Settler
	clock    clock.Clock
	timing   task.Timing
}

// maxRuns and maxTenants bound one round; what is left comes in the next.
const (
	maxRuns    = 100
	maxTenants = 500
)

// handle looks after every run whose lease has ended, and wakes the scheduler
// for every tenant that waits. One bad run never stops the others.
func (r reaper) handle(ctx context.Context) error {
	now := r.clock.Now()
	overdue, err := r.store.Overdue(ctx, now, maxRuns)
	errs := []error{err}
	for _, o := range overdue {
		if err := r.heal(ctx, o, now); err != nil && !errors.Is(err, table.ErrStale) && !errors.Is(err, table.ErrNotFound) {
			slog.ErrorContext(ctx, "heal a run", "tenant", o.Tenant, "run", o.Run, "error", err)
		}
	}
	waiting, err := r.store.Waiting(ctx, maxTenants)
	errs = append(errs, err)
	for _, w := range waiting {
		errs = append(errs, r.waker.Wake(ctx, w.Tenant))
	}
	return errors.Join(errs...)
}

// heal acts by what it finds: no execution, an open one, or a closed one.
func (r reaper) heal(ctx context.Context, o table.InflightRun, now time.Time) error {
	run, err := r.store.Run(ctx, o.Tenant, o.Run)
	if err != nil {
		return err
	}
	if !run.State.InFlight() || run.LeaseUntil.After(now) {
		return nil // the hint was of the past
	}
	in := workflow.Input{Tenant: o.Tenant, Run: run.ID, Start: run.Starts}
	status, err := r.workflow.Describe(ctx, in)
	if err != nil {
		return err
	}
	slog.WarnContext(ctx, "heal", "tenant", o.Tenant, "run", run.ID, "state", run.State, "attempt", run.Attempt.Number, "execution", status)
	if run.Attempt.Open() && run.Result == nil {
		end := task.AttemptEnd{Cause: task.LeaseExpired, ExitCode: -1, Detail: "nobody reported in time", At: now}
		if run, err = r.store.EndAttempt(ctx, o.Tenant, run.ID, run.Attempt.Number, end); err != nil {
			return err // ErrStale: a heartbeat came first
		}
	}
	if run.Attempt.Container != "" {
		if err := r.fleet.Stop(ctx, run.Attempt.Container, "its lease ended"); err != nil {
			return err
		}
	}
	// Until the next step has had its time, nobody needs to look again.
	if err := r.store.ExtendLease(ctx, o.Tenant, run.ID, now.Add(r.timing.HeartbeatLease)); err != nil {
		return err
	}
	switch status {
	case workflow.Missing:
		return r.workflow.Start(ctx, in)
	case workflow.Open:
		return r.workflow.Answer(ctx, run.Attempt.TaskToken)
	}
	d, err := r.settler.Settle(ctx, o.Tenant, run.ID, run.Starts)
	if err != nil {
		return err
	}
	if d.Next != task.NextDone {
		// A closed execution cannot be started again under its name; what it
		// would have done next is past, so the run ends when its retries do.
		return r.store.ExtendLease(ctx, o.Tenant, run.ID, now.Add(time.Second))
	}
	return r.waker.Wake(ctx, o.Tenant)
}
