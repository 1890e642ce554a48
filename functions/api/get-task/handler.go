package main

import (
	"context"
	"time"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/fairshare"
	"outpost/shared/ledger"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

type store interface {
	Task(ctx context.Context, tenantID, taskID string) (task.Task, error)
	Prompt(ctx context.Context, tenantID, taskID string) (string, error)
	Queue(ctx context.Context, tenantID string, limit int) ([]table.QueueEntry, error)
	Standing(ctx context.Context, tenantID string) (table.Standing, error)
	Usage(ctx context.Context, tenantID string, from, to time.Time) ([]ledger.Group, error)
}

type handler struct {
	store store
	clock clock.Clock
}

// maxPosition is how far a place in the queue is told exactly.
const maxPosition = 100

// handle reads the task in two reads, and its place in the queue when asked.
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
		if view.Queue, err = h.queue(ctx, r.Caller.Tenant, tk.ID); err != nil {
			return api.Response{}, err
		}
	}
	return api.OK(view), nil
}

// queue is the place of the task's first waiting run, and when that may start by
// how long the tenant's runs took yesterday and today; null where it is not known.
func (h handler) queue(ctx context.Context, tenantID, taskID string) (*api.Queue, error) {
	entries, err := h.store.Queue(ctx, tenantID, maxPosition)
	if err != nil {
		return nil, err
	}
	q := &api.Queue{Position: position(entries, taskID)}
	if q.Position == nil {
		return q, nil
	}
	now := h.clock.Now()
	groups, err := h.store.Usage(ctx, tenantID, now.Add(-24*time.Hour), now)
	if err != nil {
		return nil, err
	}
	var recent ledger.Sum
	for _, g := range groups {
		recent = recent.Add(g.Sum)
	}
	s, err := h.store.Standing(ctx, tenantID)
	if err != nil {
		return nil, err
	}
	limits, err := s.Entitlement.Limits()
	if err != nil {
		return nil, err
	}
	mean, known := recent.MeanRun()
	wait := fairshare.Estimate(*q.Position, s.Load.Running, limits.ConcurrentRuns, mean)
	if s.Entitlement.State == tenant.Active && (known || wait == 0 && s.Load.Running+*q.Position <= limits.ConcurrentRuns) {
		at := now.Add(wait).UTC().Format(time.RFC3339)
		q.EstimatedStartAt = &at
	}
	return q, nil
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
