package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"outpost/shared/clock"
	"outpost/shared/fleet"
	"outpost/shared/table"
	"outpost/shared/task"
)

type store interface {
	EndAttempt(ctx context.Context, tenantID, runID string, attempt int, end task.AttemptEnd) (task.Run, error)
}

type answerer interface {
	Answer(ctx context.Context, token string) error
}

type handler struct {
	store    store
	workflow answerer
	clock    clock.Clock
}

// handle records the end of the attempt, unless its result is stored, and
// answers the state machine in either case: finish's own answer may be lost.
func (h handler) handle(ctx context.Context, event json.RawMessage) error {
	s, err := fleet.ParseStopped(event)
	if errors.Is(err, fleet.ErrForeign) {
		return nil
	}
	if err != nil {
		return err
	}
	run, err := h.store.EndAttempt(ctx, s.Tenant, s.Run, s.Attempt, s.End(h.clock.Now()))
	if errors.Is(err, table.ErrStale) || errors.Is(err, table.ErrNotFound) {
		return nil // of an attempt that is over, or of a run that is no more
	}
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "container stopped", "tenant", s.Tenant, "run", s.Run, "attempt", s.Attempt,
		"exit", s.ExitCode, "code", s.StopCode, "result", run.Result != nil)
	return h.workflow.Answer(ctx, run.Attempt.TaskToken)
}
