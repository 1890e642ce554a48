package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/id"
	"outpost/shared/runner"
)

type store interface {
	PinCommit(ctx context.Context, tenantID, taskID, commit string) (string, error)
}

type handler struct{ store store }

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in runner.PinRequest
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	taskID, _, err := id.SplitRun(r.Worker.Run)
	if err != nil {
		return api.Response{}, err
	}
	commit, err := h.store.PinCommit(ctx, r.Worker.Tenant, taskID, in.Commit)
	if err != nil {
		return api.Response{}, api.AttemptRefusal(err)
	}
	return api.OK(runner.PinResponse{Commit: commit}), nil
}
