package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/settlement"
	"outpost/shared/table"
	"outpost/shared/task"
)

type store interface {
	settlement.Store
	RequestCancel(ctx context.Context, tenantID, runID string, by table.By) (task.Run, error)
	Task(ctx context.Context, tenantID, taskID string) (task.Task, error)
}

type handler struct {
	store store
	clock clock.Clock
}

// handle notes the request; a queued run ends at once, one that has started
// learns it from its next claim or heartbeat.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	run, err := h.store.RequestCancel(ctx, r.Caller.Tenant, r.Path, r.By(h.clock.Now(), "run.cancel", r.Path))
	if err != nil {
		return api.Response{}, err
	}
	if run, err = (settlement.Settler{Store: h.store, Clock: h.clock}).Queued(ctx, r.Caller.Tenant, run); err != nil {
		return api.Response{}, err
	}
	var ranked []string
	if run.State == task.Succeeded {
		tk, err := h.store.Task(ctx, r.Caller.Tenant, run.Task)
		if err != nil {
			return api.Response{}, err
		}
		ranked = task.Ranked(tk.Runs)
	}
	return api.Accepted(api.ViewRun(run, ranked)), nil
}
