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
	Prompt(ctx context.Context, tenantID, taskID string) (string, error)
}

type handler struct {
	store store
	clock clock.Clock
}

// handle cancels each run that has not ended, the queued ones first so that
// none starts meanwhile. A crash half-way leaves runs that the same call
// cancels when it is repeated.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	tk, err := h.store.Task(ctx, r.Caller.Tenant, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	for _, queued := range []bool{true, false} {
		for _, run := range tk.Runs {
			if run.State.Terminal() || (run.State == task.Queued) != queued {
				continue
			}
			if err := h.cancel(ctx, r, run.ID); err != nil {
				return api.Response{}, err
			}
		}
	}
	if tk, err = h.store.Task(ctx, r.Caller.Tenant, r.Path); err != nil {
		return api.Response{}, err
	}
	prompt, err := h.store.Prompt(ctx, r.Caller.Tenant, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	return api.Accepted(api.ViewTask(tk, prompt)), nil
}

func (h handler) cancel(ctx context.Context, r *api.Request, runID string) error {
	by := r.By(h.clock.Now(), "run.cancel", runID)
	by.Audit.Detail = "with its task"
	run, err := h.store.RequestCancel(ctx, r.Caller.Tenant, runID, by)
	if err != nil {
		return err
	}
	_, err = settlement.Settler{Store: h.store, Clock: h.clock}.Queued(ctx, r.Caller.Tenant, run)
	return err
}
