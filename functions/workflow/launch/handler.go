package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"outpost/shared/clock"
	"outpost/shared/fleet"
	"outpost/shared/runner"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/token"
)

type store interface {
	Run(ctx context.Context, tenantID, runID string) (task.Run, error)
	BeginAttempt(ctx context.Context, tenantID, runID string, start int, taskToken string, leaseUntil time.Time) (task.Run, error)
	SetContainer(ctx context.Context, tenantID, runID string, attempt int, arn string) error
	EndAttempt(ctx context.Context, tenantID, runID string, attempt int, end task.AttemptEnd) (task.Run, error)
}

type answerer interface {
	Answer(ctx context.Context, token string) error
}

type launcher interface {
	Launch(ctx context.Context, k fleet.Container) (arn string, err error)
	Stop(ctx context.Context, arn, reason string) error
}

type handler struct {
	store    store
	workflow answerer
	fleet    launcher
	tickets  *token.Signer
	clock    clock.Clock
	timing   task.Timing
	apiURL   string
}

// request is the input of the state machine's Launch.
type request struct {
	Tenant    string `json:"tenant"`
	Run       string `json:"run"`
	Start     int    `json:"start"`
	TaskToken string `json:"task_token"`
}

// handle may be repeated after a crash anywhere: the open attempt is found
// again, its ticket and its container's token are the same, so one attempt has
// one container. Where nothing is to be launched it answers the token at once
// and leaves the decision to Settle.
func (h handler) handle(ctx context.Context, in request) error {
	before, err := h.store.Run(ctx, in.Tenant, in.Run)
	if err != nil {
		return fmt.Errorf("launch %s: %w", in.Run, err)
	}
	run, err := h.store.BeginAttempt(ctx, in.Tenant, in.Run, in.Start, in.TaskToken, h.clock.Now().Add(h.timing.ClaimLease))
	if errors.Is(err, table.ErrStale) || errors.Is(err, table.ErrCancelled) {
		return h.workflow.Answer(ctx, in.TaskToken)
	}
	if err != nil {
		return fmt.Errorf("launch %s: %w", in.Run, err)
	}
	if err := h.stopEarlier(ctx, before, run); err != nil {
		return fmt.Errorf("launch %s: %w", in.Run, err)
	}
	arn, err := h.fleet.Launch(ctx, h.container(run))
	if err != nil {
		return h.refused(ctx, in, run, err)
	}
	if err := h.store.SetContainer(ctx, in.Tenant, in.Run, run.Attempt.Number, arn); err != nil && !errors.Is(err, table.ErrStale) {
		return fmt.Errorf("launch %s: %w", in.Run, err)
	}
	slog.InfoContext(ctx, "launched", "tenant", in.Tenant, "run", in.Run, "attempt", run.Attempt.Number)
	return nil
}

// stopEarlier stops the container of the attempt before. One whose ARN was
// never stored is found by launching it again under its own token, which
// returns the same container; its attempt is over, so it can claim nothing.
func (h handler) stopEarlier(ctx context.Context, before, run task.Run) error {
	earlier := before.Attempt
	if earlier.Number == run.Attempt.Number || earlier.Number == 0 {
		if run.LastContainer == "" {
			return nil
		}
		return h.fleet.Stop(ctx, run.LastContainer, "superseded by a later attempt")
	}
	arn := earlier.Container
	if arn == "" {
		if earlier.End.Cause == task.NoCapacity {
			return nil
		}
		found, err := h.fleet.Launch(ctx, h.container(before))
		if err != nil {
			return nil // it cannot be launched now either: there is none
		}
		arn = found
	}
	return h.fleet.Stop(ctx, arn, "superseded by a later attempt")
}

// container describes the container of the run's attempt, byte for byte the
// same at each call.
func (h handler) container(run task.Run) fleet.Container {
	expires := run.Attempt.MadeAt.Add(h.timing.ClaimLease + time.Hour)
	ticket := h.tickets.Sign(token.Claims{Kind: token.Ticket, Tenant: run.Tenant, Run: run.ID, Attempt: run.Attempt.Number, Expires: expires.Unix()})
	return fleet.Container{Tenant: run.Tenant, Run: run.ID, Attempt: run.Attempt.Number, Agent: run.Agent, Env: map[string]string{
		runner.EnvAPI: h.apiURL, runner.EnvRun: run.ID, runner.EnvAttempt: strconv.Itoa(run.Attempt.Number), runner.EnvTicket: ticket,
	}}
}

// refused records that no container came to be.
func (h handler) refused(ctx context.Context, in request, run task.Run, cause error) error {
	end := task.AttemptEnd{Cause: task.LaunchFailed, ExitCode: -1, Detail: "the container could not be launched", At: h.clock.Now()}
	if errors.Is(cause, fleet.ErrNoCapacity) {
		end.Cause, end.Detail = task.NoCapacity, "there was no capacity"
	}
	slog.WarnContext(ctx, "launch refused", "tenant", in.Tenant, "run", in.Run, "attempt", run.Attempt.Number, "error", cause)
	if _, err := h.store.EndAttempt(ctx, in.Tenant, in.Run, run.Attempt.Number, end); err != nil && !errors.Is(err, table.ErrStale) {
		return fmt.Errorf("launch %s: %w", in.Run, err)
	}
	return h.workflow.Answer(ctx, in.TaskToken)
}
