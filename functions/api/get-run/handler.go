package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/task"
)

type store interface {
	Run(ctx context.Context, tenantID, runID string) (task.Run, error)
	Task(ctx context.Context, tenantID, taskID string) (task.Task, error)
}

type handler struct{ store store }

// handle reads the run, and its task when it succeeded: a rank compares it with
// the others.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	run, err := h.store.Run(ctx, r.Caller.Tenant, r.Path)
	if err != nil {
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
	return api.OK(api.ViewRun(run, ranked)), nil
}
