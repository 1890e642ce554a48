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
	"outpost/shared/metric"
	"outpost/shared/runner"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/token"
)

type store interface {
	Run(ctx context.Context, tenantID, runID string) (task.Run, error)
	BeginAttempt(ctx context.Context, tenantID, runID string, start int, taskToken string, spot bool, lookAfter time.Duration, leaseUntil time.Time) (task.Run, error)
	SetContainer(ctx context.Context, tenantID, runID string, attempt int, arn string) error
	EndAttempt(ctx context.Context, tenantID, runID string, attempt int, end task.AttemptEnd) (task.Run, error)
}

type answerer interface {
	Answer(ctx context.Context, token string) error
}

type launcher interface {
	Launch(ctx context.Context, k fleet.Container) (arn string, err error)
	Stop(ctx context.Context, arn, reason string) (stopped bool, err error)
}

type handler struct {
	store    store
	workflow answerer
	fleet    launcher
	tickets  *token.Signer
	clock    clock.Clock
	timing   task.Timing
	apiURL   string
	spot     bool // for first attempts
	metrics  *metric.Emitter
}

const (
	// ticketLife is how long a ticket is good beyond the claim's lease, counted
	// from when the attempt was made: a launch that is repeated extends the
	// lease, but must send the same ticket.
	ticketLife = time.Hour
	// stopPoll is the pause between looks at a container that is stopping.
	stopPoll = 500 * time.Millisecond
	// spare is what of the function's time is left for an orderly failure.
	spare = 5 * time.Second
)

// request is the input of the state machine's Launch.
type request struct {
	Tenant    string `json:"tenant"`
	Run       string `json:"run"`
	Start     int    `json:"start"`
	TaskToken string `json:"task_token"`
}

// handle makes the run's next attempt and launches its container. It may be
// repeated after a crash anywhere: the open attempt is found again, its ticket
// and its container's token are the same, so one attempt has one container.
// Where nothing is to be launched it answers the token at once and leaves the
// decision to Settle; an error makes the state machine try again.
func (h handler) handle(ctx context.Context, in request) error {
	if err := h.launch(ctx, in); err != nil {
		return fmt.Errorf("launch %s: %w", in.Run, err)
	}
	return nil
}

func (h handler) launch(ctx context.Context, in request) error {
	run, err := h.store.Run(ctx, in.Tenant, in.Run)
	if errors.Is(err, table.ErrNotFound) {
		return h.workflow.Answer(ctx, in.TaskToken)
	}
	if err != nil {
		return err
	}
	// Before the attempt before is overwritten, its container must be known.
	if err := h.findEarlier(ctx, run, in.Start); err != nil {
		return err
	}
	run, err = h.store.BeginAttempt(ctx, in.Tenant, in.Run, in.Start, in.TaskToken, h.spot, h.timing.HeartbeatLease, h.clock.Now().Add(h.timing.ClaimLease))
	if errors.Is(err, table.ErrStale) || errors.Is(err, table.ErrCancelled) {
		return h.workflow.Answer(ctx, in.TaskToken)
	}
	if err != nil {
		return err
	}
	if err := h.stop(ctx, run.LastContainer); err != nil {
		return err
	}
	arn, err := h.fleet.Launch(ctx, h.container(run))
	if errors.Is(err, fleet.ErrNoCapacity) || errors.Is(err, fleet.ErrRefused) {
		return h.refused(ctx, in, run, err)
	}
	if err != nil {
		return err // a container may run: the same attempt is launched again
	}
	err = h.store.SetContainer(ctx, in.Tenant, in.Run, run.Attempt.Number, arn)
	if errors.Is(err, table.ErrStale) { // the attempt was overtaken
		if err := h.stop(ctx, arn); err != nil {
			return err
		}
		return h.workflow.Answer(ctx, in.TaskToken)
	}
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "launched", "tenant", in.Tenant, "run", in.Run, "attempt", run.Attempt.Number, "on_demand", run.Attempt.OnDemand)
	return nil
}

// findEarlier stores the ARN of an ended attempt's container where a crash came
// between its launch and the storing. It is found by launching the same
// container again: that returns the one there is, and if there was none, the
// new one can claim nothing, and is stopped before the next is launched.
func (h handler) findEarlier(ctx context.Context, run task.Run, start int) error {
	a := run.Attempt
	if !run.State.InFlight() || run.Starts != start || run.Result != nil || !run.CancelRequestedAt.IsZero() ||
		a.Number == 0 || a.Open() || a.Unsettled() || a.Container != "" || a.End.Cause == task.NoCapacity {
		return nil
	}
	arn, err := h.fleet.Launch(ctx, h.container(run))
	if errors.Is(err, fleet.ErrNoCapacity) || errors.Is(err, fleet.ErrRefused) {
		return nil // there is none
	}
	if err != nil {
		return err
	}
	if err := h.store.SetContainer(ctx, run.Tenant, run.ID, a.Number, arn); err != nil && !errors.Is(err, table.ErrStale) {
		return err
	}
	return nil
}

// stop stops a container and waits until it has stopped: no two live at once.
func (h handler) stop(ctx context.Context, arn string) error {
	if arn == "" {
		return nil
	}
	for {
		stopped, err := h.fleet.Stop(ctx, arn, "superseded by a later attempt")
		if err != nil || stopped {
			return err
		}
		if end, ok := ctx.Deadline(); ok && time.Until(end) < spare {
			return errors.New("the container of the attempt before is still stopping")
		}
		select {
		case <-h.clock.After(stopPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// container describes the container of the run's attempt, the same at each
// call: it depends on what is stored of the attempt alone.
func (h handler) container(run task.Run) fleet.Container {
	a := run.Attempt
	expires := a.MadeAt.Add(h.timing.ClaimLease + ticketLife)
	ticket := h.tickets.Sign(token.Claims{Kind: token.Ticket, Tenant: run.Tenant, Run: run.ID, Attempt: a.Number, Expires: expires.Unix()})
	return fleet.Container{Tenant: run.Tenant, Run: run.ID, Attempt: a.Number, Agent: run.Agent, OnDemand: a.OnDemand, Env: map[string]string{
		runner.EnvAPI: h.apiURL, runner.EnvRun: run.ID, runner.EnvAttempt: strconv.Itoa(a.Number), runner.EnvTicket: ticket,
	}}
}

// refused records that no container came to be.
func (h handler) refused(ctx context.Context, in request, run task.Run, cause error) error {
	end := task.AttemptEnd{Cause: task.LaunchFailed, ExitCode: -1, Detail: "the container could not be launched", At: h.clock.Now()}
	if errors.Is(cause, fleet.ErrNoCapacity) {
		end.Cause, end.Detail = task.NoCapacity, "there was no capacity"
		h.metrics.Emit(metric.NoCapacity, 1, end.At, "tenant", in.Tenant, "run", in.Run)
	}
	slog.WarnContext(ctx, "launch refused", "tenant", in.Tenant, "run", in.Run, "attempt", run.Attempt.Number, "cause", end.Cause, "error", cause)
	if _, err := h.store.EndAttempt(ctx, in.Tenant, in.Run, run.Attempt.Number, end); err != nil && !errors.Is(err, table.ErrStale) {
		return err
	}
	return h.workflow.Answer(ctx, in.TaskToken)
}
