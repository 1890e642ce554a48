package main

import (
	"context"
	"errors"
	"log/slog"
	"math"

	"outpost/shared/clock"
	"outpost/shared/metric"
	"outpost/shared/settlement"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/workflow"
)

type waker interface {
	Wake(ctx context.Context, tenant string) error
}

type handler struct {
	settler settlement.Settler
	waker   waker
	metrics *metric.Emitter
	clock   clock.Clock
}

// answer is what the state machine's Choice and Wait read.
type answer struct {
	Next        task.Next `json:"next"`
	WaitSeconds int       `json:"wait_seconds"` // whole seconds, as Wait wants them
}

// handle settles the run and, when it leaves its slot, wakes the scheduler. A
// lost wakeup is made good by the reaper.
func (h handler) handle(ctx context.Context, in workflow.Input) (answer, error) {
	d, err := h.settler.Settle(ctx, in.Tenant, in.Run, in.Start)
	if errors.Is(err, table.ErrNotFound) {
		slog.ErrorContext(ctx, "settle a run that is not there", "tenant", in.Tenant, "run", in.Run)
		return answer{Next: task.NextDone}, nil
	}
	if err != nil {
		return answer{}, err
	}
	if d.Next == task.NextDone {
		if err := h.waker.Wake(ctx, in.Tenant); err != nil {
			slog.ErrorContext(ctx, "wake the scheduler", "tenant", in.Tenant, "run", in.Run, "error", err)
		}
	}
	h.count(in, d)
	slog.InfoContext(ctx, "settled", "tenant", in.Tenant, "run", in.Run, "next", d.Next, "end", d.End, "reason", d.Reason, "requeue", d.Requeue)
	return answer{Next: d.Next, WaitSeconds: int(math.Ceil(d.Wait.Seconds()))}, nil
}

// ends are the metrics of terminal states.
var ends = map[task.State]metric.Name{
	task.Succeeded: metric.RunsSucceeded, task.Failed: metric.RunsFailed, task.TimedOut: metric.RunsTimedOut, task.Cancelled: metric.RunsCancelled,
}

// count tells what was decided; a settlement that is repeated after it was
// carried out decides nothing more.
func (h handler) count(in workflow.Input, d task.Decision) {
	now := h.clock.Now()
	if name, ok := ends[d.End]; ok {
		h.metrics.Emit(name, 1, now, "tenant", in.Tenant, "run", in.Run, "reason", string(d.Reason))
	}
	if d.InfraRetry || d.Reason == task.ReasonWorkerLost || d.Reason == task.ReasonLaunchFailed {
		h.metrics.Emit(metric.AttemptsLost, 1, now, "tenant", in.Tenant, "run", in.Run)
	}
}
