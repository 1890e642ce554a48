package main

import (
	"context"

	"outpost/shared/api"
	"outpost/shared/problem"
	"outpost/shared/runner"
	"outpost/shared/task"
)

type store interface {
	StoreResult(ctx context.Context, tenantID, runID string, attempt int, nonce string, result task.Result) (task.Run, error)
}

type answerer interface {
	Answer(ctx context.Context, token string) error
}

type handler struct {
	store    store
	workflow answerer
}

// handle stores the result, once, and only then tells the state machine that
// the attempt is over. A repeat answers the token again.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in runner.FinishRequest
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	if (in.Result.State == task.Succeeded) != (in.Result.Reason == "") {
		return api.Response{}, api.Invalid(problem.Field{Field: "/result/reason", Message: "must say why a run did not succeed, and nothing else"})
	}
	if wrong := api.CheckArtifacts("/result/artifacts", in.Result.Artifacts); len(wrong) > 0 {
		return api.Response{}, api.Invalid(wrong...)
	}
	w := r.Worker
	run, err := h.store.StoreResult(ctx, w.Tenant, w.Run, w.Attempt, w.Nonce, in.Result)
	if err != nil {
		return api.Response{}, api.AttemptRefusal(err)
	}
	if err := h.workflow.Answer(ctx, run.Attempt.TaskToken); err != nil {
		return api.Response{}, err
	}
	return api.OK(runner.Empty{}), nil
}
