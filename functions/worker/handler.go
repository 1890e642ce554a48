package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"outpost/functions/worker/internal/outcome"
	"outpost/functions/worker/internal/report"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/runner"
)

// Worker does one attempt.
type Worker struct {
	Settings
	Clock clock.Clock
	HTTP  *http.Client
	Log   func(format string, args ...any) // never given a secret
}

// Exit codes.
const (
	exitDone    = 0   // the result was taken, or there was nothing to do
	exitFailed  = 1   // nothing could be reported
	exitStopped = 143 // the platform took the container away
)

// claimLimit is how long the worker tries to claim: the lease ends soon after.
const claimLimit = 4 * time.Minute

// Run does the attempt and returns the exit code. ctx is cancelled with
// outcome.ErrStopped when the platform takes the container away.
func (w *Worker) Run(ctx context.Context) int {
	client := &report.Client{Base: w.API, HTTP: w.HTTP, Clock: w.Clock, Token: w.Ticket}
	claim, err := w.claim(ctx, client)
	switch {
	case errors.Is(err, outcome.ErrStopped):
		return exitStopped
	case notOurs(err):
		w.Log("run %s attempt %d is not for this worker: %v", w.Settings.Run, w.Attempt, err)
		return exitDone
	case err != nil:
		w.Log("%v", err)
		return exitFailed
	}
	client.Token = claim.RunToken

	scratch, err := os.MkdirTemp(w.Scratch, "outpost-run-")
	if err != nil {
		w.Log("make a scratch folder: %v", err)
		return exitFailed
	}
	defer discard(scratch)
	a := newAttempt(w, client, claim, scratch)
	if err := a.run(ctx); err != nil {
		switch {
		case errors.Is(err, outcome.ErrSuperseded):
			w.Log("run %s attempt %d: another took over", claim.Run, claim.Attempt)
			return exitDone
		case errors.Is(err, outcome.ErrStopped):
			return exitStopped
		}
		w.Log("run %s attempt %d: %v", claim.Run, claim.Attempt, a.scrubber.String(err.Error()))
		return exitFailed
	}
	return exitDone
}

// claim claims the attempt.
func (w *Worker) claim(ctx context.Context, client *report.Client) (runner.ClaimResponse, error) {
	ctx, cancel := until(ctx, w.Clock, w.Clock.Now().Add(claimLimit), errors.New("the API did not answer in time"))
	defer cancel()
	nonce := make([]byte, 32)
	if _, err := rand.Read(nonce); err != nil {
		return runner.ClaimResponse{}, fmt.Errorf("make a nonce: %w", err)
	}
	claim, err := client.Claim(ctx, hex.EncodeToString(nonce))
	if err == nil && (claim.Run != w.Settings.Run || claim.Attempt != w.Attempt) {
		return claim, fmt.Errorf("claimed attempt %d of %s and was given attempt %d of %s", w.Attempt, w.Settings.Run, claim.Attempt, claim.Run)
	}
	return claim, err
}

// notOurs tells whether a claim was refused because somebody else has the
// attempt, or nobody needs it any more.
func notOurs(err error) bool {
	var refusal *report.Refusal
	return errors.As(err, &refusal) && refusal.Status == http.StatusConflict && refusal.Code != string(problem.ProtocolUnsupported)
}

// until returns a context that is cancelled with cause at a time of the clock.
func until(ctx context.Context, c clock.Clock, at time.Time, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	passed := c.After(at.Sub(c.Now()))
	go func() {
		select {
		case <-passed:
			cancel(cause)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}
