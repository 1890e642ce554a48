package main

import (
	"context"
	"errors"
	"fmt"

	"outpost/functions/worker/internal/outcome"
	"outpost/functions/worker/internal/report"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// conclude decides how the attempt ended, uploads what there is, and reports.
// The error is why the report was not taken.
func (a *attempt) conclude(ctx context.Context) error {
	a.enter(phaseUpload)
	var detail string
	a.result.State, a.result.Reason, detail = outcome.Decide(a.facts)
	a.result.Detail = a.clean(detail)
	if a.result.Reason == task.ReasonWorkerFailed {
		a.Log("run %s attempt %d: %s", a.claim.Run, a.claim.Attempt, a.result.Detail)
	}
	a.events.Close()

	artifacts, paths, errs := a.outputs.Finished()
	stored, err := a.client.Upload(ctx, artifacts, paths)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if report.Lost(err) {
		return outcome.ErrSuperseded
	}
	if err = errors.Join(append(errs, err)...); err != nil {
		a.Log("run %s attempt %d: %s", a.claim.Run, a.claim.Attempt, a.clean(err.Error()))
	}
	a.result.Artifacts = stored
	if a.facts.Changed && !holds(stored, task.ArtifactPatch) {
		// A success whose patch is lost is none, and its numbers would mislead.
		a.result.Patch = task.PatchStat{}
		if a.result.State == task.Succeeded {
			a.result.State, a.result.Reason, a.result.Detail = task.Failed, task.ReasonWorkerFailed, "the patch could not be stored"
		}
	}
	err = a.client.Finish(ctx, runner.FinishRequest{Result: a.result})
	if report.Lost(err) {
		return outcome.ErrSuperseded
	}
	if err != nil {
		return fmt.Errorf("the result was not taken: %w", err)
	}
	return nil
}

func holds(artifacts []task.Artifact, name string) bool {
	for _, a := range artifacts {
		if a.Name == name {
			return true
		}
	}
	return false
}
