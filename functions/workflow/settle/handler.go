package main

import (
	"context"
	"log/slog"

	"outpost/shared/settlement"
	"outpost/shared/task"
	"outpost/shared/workflow"
)

type waker interface {
	Wake(ctx context.Context, tenant string) error
}

type handler struct {
	settler settlement.Settler
	waker   waker
}

// answer is what the state machine's Choice reads.
type answer struct {
	Next        task.Next `json:"next"`
	WaitSeconds int       `json:"wait_seconds"`
}

// handle settles the run and wakes the scheduler when that freed a slot. A lost
// wakeup is made good by the reaper.
func (h handler) handle(ctx context.Context, in workflow.Input) (answer, error) {
	d, err := h.settler.Settle(ctx, in.Tenant, in.Run, in.Start)
	if err != nil {
		return answer{}, err
	}
	if d.Next == task.NextDone {
		if err := h.waker.Wake(ctx, in.Tenant); err != nil {
			slog.ErrorContext(ctx, "wake the scheduler", "tenant", in.Tenant, "run", in.Run, "error", err)
		}
	}
	slog.InfoContext(ctx, "settled", "tenant", in.Tenant, "run", in.Run, "next", d.Next, "end", d.End, "reason", d.Reason)
	return answer{Next: d.Next, WaitSeconds: int(d.Wait.Seconds())}, nil
}
