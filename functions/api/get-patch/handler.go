package main

import (
	"context"
	"errors"
	"net/http"

	"outpost/shared/api"
	"outpost/shared/artifact"
	"outpost/shared/problem"
	"outpost/shared/task"
)

type store interface {
	Run(ctx context.Context, tenantID, runID string) (task.Run, error)
}

type artifacts interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	PresignGet(ctx context.Context, key string) (url string, err error)
}

type handler struct {
	store     store
	artifacts artifacts
}

// maxInline is the largest patch that goes through the function, in bytes: an
// answer has at most 6 MB, and base64 takes a third more.
const maxInline = 4 << 20

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	run, err := h.store.Run(ctx, r.Caller.Tenant, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	size, ok := patchSize(run)
	if !ok {
		return api.Response{}, problem.New(problem.NoPatch, "The run has no patch, or has not ended.")
	}
	key := artifact.Key(r.Caller.Tenant, run.ID, run.Attempt.Number, task.ArtifactPatch)
	if size > maxInline {
		url, err := h.artifacts.PresignGet(ctx, key)
		if err != nil {
			return api.Response{}, err
		}
		return api.Response{Status: http.StatusFound, Header: map[string]string{"Location": url}}, nil
	}
	patch, err := h.artifacts.Get(ctx, key, maxInline)
	if errors.Is(err, artifact.ErrMissing) {
		return api.Response{}, problem.New(problem.NoPatch, "The run's worker announced a patch and did not upload it.").Because(err)
	}
	if err != nil {
		return api.Response{}, err
	}
	return api.Response{Status: http.StatusOK, Body: patch, Header: map[string]string{"Content-Type": "text/x-diff; charset=utf-8"}}, nil
}

func patchSize(run task.Run) (size int64, ok bool) {
	if run.Result == nil || !run.State.Terminal() {
		return 0, false
	}
	for _, a := range run.Result.Artifacts {
		if a.Name == task.ArtifactPatch {
			return a.Size, true
		}
	}
	return 0, false
}
