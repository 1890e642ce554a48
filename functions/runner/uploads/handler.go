package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/artifact"
	"outpost/shared/problem"
	"outpost/shared/runner"
	"outpost/shared/task"
)

type store interface {
	Run(ctx context.Context, tenantID, runID string) (task.Run, error)
}

type presigner interface {
	PresignPut(ctx context.Context, key string, a task.Artifact) (url string, headers map[string]string, err error)
}

type handler struct {
	store     store
	artifacts presigner
}

// handle signs uploads for the attempt that holds the run, and for no other.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in runner.UploadsRequest
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	if wrong := api.CheckArtifacts("/artifacts", in.Artifacts); len(wrong) > 0 {
		return api.Response{}, api.Invalid(wrong...)
	}
	w := r.Worker
	run, err := h.store.Run(ctx, w.Tenant, w.Run)
	if err != nil {
		return api.Response{}, api.AttemptRefusal(err)
	}
	if run.Attempt.Number != w.Attempt || run.Attempt.Nonce != w.Nonce || !run.Attempt.Open() || !run.State.InFlight() || run.Result != nil {
		return api.Response{}, problem.New(problem.AttemptSuperseded, "This attempt is over.")
	}
	out := runner.UploadsResponse{}
	for _, a := range in.Artifacts {
		url, headers, err := h.artifacts.PresignPut(ctx, artifact.Key(w.Tenant, run.ID, w.Attempt, a.Name), a)
		if err != nil {
			return api.Response{}, err
		}
		out.Uploads = append(out.Uploads, runner.Upload{Name: a.Name, URL: url, Headers: headers})
	}
	return api.OK(out), nil
}
