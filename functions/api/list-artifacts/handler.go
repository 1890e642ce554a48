package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/artifact"
	"outpost/shared/clock"
	"outpost/shared/task"
)

type store interface {
	Run(ctx context.Context, tenantID, runID string) (task.Run, error)
}

type presigner interface {
	PresignGet(ctx context.Context, key string) (url string, err error)
}

type handler struct {
	store     store
	artifacts presigner
	clock     clock.Clock
}

// entry is an artifact with where to read it.
type entry struct {
	task.Artifact
	URL       string `json:"url"`
	ExpiresAt string `json:"expires_at"`
}

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	run, err := h.store.Run(ctx, r.Caller.Tenant, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	page := api.Page[entry]{Data: []entry{}}
	if run.Result == nil || !run.State.Terminal() {
		return api.OK(page), nil
	}
	expires := h.clock.Now().Add(artifact.URLLife).UTC().Format("2006-01-02T15:04:05Z")
	for _, a := range run.Result.Artifacts {
		url, err := h.artifacts.PresignGet(ctx, artifact.Key(r.Caller.Tenant, run.ID, run.Attempt.Number, a.Name))
		if err != nil {
			return api.Response{}, err
		}
		page.Data = append(page.Data, entry{a, url, expires})
	}
	return api.OK(page), nil
}
