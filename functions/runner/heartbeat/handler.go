package main

import (
	"context"
	"time"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/runner"
	"outpost/shared/task"
)

type store interface {
	Heartbeat(ctx context.Context, tenantID, runID string, attempt int, nonce string, spend task.Spend, leaseUntil time.Time) (task.Run, error)
}

type handler struct {
	store  store
	clock  clock.Clock
	timing task.Timing
}

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in runner.HeartbeatRequest
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	w := r.Worker
	run, err := h.store.Heartbeat(ctx, w.Tenant, w.Run, w.Attempt, w.Nonce, in.Spend, h.clock.Now().Add(h.timing.HeartbeatLease))
	if err != nil {
		return api.Response{}, api.AttemptRefusal(err)
	}
	return api.OK(runner.HeartbeatResponse{Cancel: !run.CancelRequestedAt.IsZero()}), nil
}
