package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/table"
	"outpost/shared/task"
)

type store interface {
	Task(ctx context.Context, tenantID, taskID string) (task.Task, error)
	Prompt(ctx context.Context, tenantID, taskID string) (string, error)
	Queue(ctx context.Context, tenantID string, limit int) ([]table.QueueEntry, error)
}

type handler struct{ store store }

// maxPosition is how far a place in the queue is told exactly.
const maxPosition = 100

// handle reads the task in two reads, and the queue in a third when asked.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	tk, err := h.store.Task(ctx, r.Caller.Tenant, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	prompt, err := h.store.Prompt(ctx, r.Caller.Tenant, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	view := api.ViewTask(tk, prompt)
	if r.Query["include"] == "queue" {
		entries, err := h.store.Queue(ctx, r.Caller.Tenant, maxPosition)
		if err != nil {
			return api.Response{}, err
		}
		view.Queue = &api.Queue{Position: position(entries, tk.ID)}
	}
	return api.OK(view), nil
}

// position is the place of the task's first waiting run, from 1.
func position(entries []table.QueueEntry, taskID string) *int {
	for i, e := range entries {
		if e.Task == taskID {
			place := i + 1
			return &place
		}
	}
	return nil
}
