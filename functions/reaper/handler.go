package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"outpost/shared/clock"
	"outpost/shared/fleet"
	"outpost/shared/metric"
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
	EndUnclaimed(ctx context.Context, tenantID, runID string, attempt int, end task.AttemptEnd) (task.Run, error)
	ExtendLease(ctx context.Context, tenantID, runID string, until time.Time) error
	PutOffLook(ctx context.Context, tenantID, runID string, attempt int, until time.Time) error
}

type machine interface {
	Start(ctx context.Context, in workflow.Input) error
	Describe(ctx context.Context, in workflow.Input) (workflow.Status, error)
	Answer(ctx context.Context, token string) error
}

type containers interface {
	Look(ctx context.Context, arn string) (s fleet.Stopped, stopped bool, err error)
	Stop(ctx context.Context, arn, reason string) (stopped bool, err error)
}

type waker interface {
	Wake(ctx context.Context, tenant string) error
}

type reaper struct {
	store    store
	workflow machine
	fleet    containers
	waker    waker
	settler  settlement.Settler
	clock    clock.Clock
	timing   task.Timing
	metrics  *metric.Emitter
}

const (
	maxRuns    = 200 // healed in one round; the rest comes in the next
	maxTenants = 100 // woken in one round; the scheduler finds the others in the waiting index itself
	// spare is what of the function's time is kept for the run in hand.
	spare = 10 * time.Second
)

// handle wakes the scheduler for the tenants that wait and looks after every
// run whose lease has ended, or whose container nobody has spoken for yet. One
// bad run never stops the others.
func (r reaper) handle(ctx context.Context) error {
	return errors.Join(r.wake(ctx), r.healAll(ctx))
}

func (r reaper) wake(ctx context.Context) error {
	waiting, err := r.store.Waiting(ctx, maxTenants)
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range waiting {
		errs = append(errs, r.waker.Wake(ctx, w.Tenant))
	}
	return errors.Join(errs...)
}

func (r reaper) healAll(ctx context.Context) error {
	overdue, err := r.store.Overdue(ctx, r.clock.Now(), maxRuns)
	if err != nil {
		return err
	}
	for i, o := range overdue {
		if end, ok := ctx.Deadline(); ok && time.Until(end) < spare {
			slog.WarnContext(ctx, "no time left to heal", "runs", len(overdue)-i)
			return nil
		}
		err := r.heal(ctx, o)
		if err != nil && !errors.Is(err, table.ErrStale) && !errors.Is(err, table.ErrNotFound) {
			slog.ErrorContext(ctx, "heal a run", "tenant", o.Tenant, "run", o.Run, "error", err)
		}
	}
	return nil
}

// heal acts by what it finds: no execution, an open one, or a closed one. Until
// the run has moved on its lease stays over, so what a crash cuts short is done
// again in the next round. ErrStale means that somebody reported after all.
func (r reaper) heal(ctx context.Context, o table.InflightRun) error {
	run, err := r.store.Run(ctx, o.Tenant, o.Run)
	if err != nil {
		return err
	}
	now := r.clock.Now()
	if !run.State.InFlight() || run.DueAt().After(now) {
		return nil // the hint was of the past
	}
	if run.LeaseUntil.After(now) {
		if run, err = r.look(ctx, o, run, now); err != nil || run.Attempt.Open() {
			return err
		}
	}
	in := workflow.Input{Tenant: o.Tenant, Run: run.ID, Start: run.Starts}
	status, err := r.workflow.Describe(ctx, in)
	if err != nil {
		return err
	}
	r.metrics.Emit(metric.RunsHealed, 1, now, "tenant", o.Tenant, "run", run.ID)
	slog.WarnContext(ctx, "heal", "tenant", o.Tenant, "run", run.ID, "state", run.State, "attempt", run.Attempt.Number, "execution", status)
	if run.Attempt.Open() { // one with a result stays as it is
		end := task.AttemptEnd{Cause: task.LeaseExpired, ExitCode: -1, Detail: "nobody reported in time", At: now}
		if run, err = r.store.EndAttempt(ctx, o.Tenant, run.ID, run.Attempt.Number, end); err != nil {
			return err
		}
	}
	if run.Attempt.Container != "" {
		if _, err := r.fleet.Stop(ctx, run.Attempt.Container, "its lease ended"); err != nil {
			return err
		}
	}
	if err := r.moveOn(ctx, in, status, run); err != nil {
		return err
	}
	// Until the next step has had its time, nobody needs to look again.
	return r.store.ExtendLease(ctx, o.Tenant, run.ID, now.Add(r.timing.HeartbeatLease))
}

// look asks whether the container of an attempt that nobody has claimed yet has
// stopped, and ends the attempt there: its last event may be lost, and the lease
// of the claim is long, since a container may wait for its image or for
// capacity. Of one that lives, or is not launched yet, it asks again later.
// ErrStale means that the claim came after all.
func (r reaper) look(ctx context.Context, o table.InflightRun, run task.Run, now time.Time) (task.Run, error) {
	if run.Attempt.Container != "" {
		s, stopped, err := r.fleet.Look(ctx, run.Attempt.Container)
		if err != nil {
			return run, err
		}
		if stopped {
			return r.store.EndUnclaimed(ctx, o.Tenant, run.ID, run.Attempt.Number, s.End(now))
		}
	}
	return run, r.store.PutOffLook(ctx, o.Tenant, run.ID, run.Attempt.Number, now.Add(r.timing.HeartbeatLease))
}

// moveOn makes sure that somebody settles the run.
func (r reaper) moveOn(ctx context.Context, in workflow.Input, status workflow.Status, run task.Run) error {
	switch status {
	case workflow.Missing:
		return r.workflow.Start(ctx, in)
	case workflow.Open:
		return r.workflow.Answer(ctx, run.Attempt.TaskToken)
	default:
		if _, err := r.settler.Orphan(ctx, in.Tenant, in.Run, in.Start); err != nil {
			return err
		}
		return r.waker.Wake(ctx, in.Tenant)
	}
}
