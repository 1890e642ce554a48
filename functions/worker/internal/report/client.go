// Package report is the worker's side of the runner protocol: a client that
// repeats every call until it is answered or refused, the stream of events in
// batches, and uploads. The API takes each report once, so repeating is safe.
package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"outpost/shared/clock"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// Client calls the API. Its fields do not change once it is used; Token may be
// set between calls.
type Client struct {
	Base  string // base URL of the API, without a slash at its end
	HTTP  *http.Client
	Clock clock.Clock
	Token string // bearer: the ticket for Claim, then the run token
}

// callPut is the one call that goes to the store and not to the API.
const callPut = "put"

// Limits of a call.
const (
	callTimeout = 35 * time.Second // of one try; the API's own limit is 29 s
	maxAnswer   = 4 << 20          // bytes
	firstPause  = 200 * time.Millisecond
	longest     = 10 * time.Second // pause between tries
)

// Refusal is an answer that repeating the call would not change.
type Refusal struct {
	Call   string
	Status int
	Code   string // of the problem, if the API sent one
}

func (r *Refusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s was refused: %d %s", r.Call, r.Status, r.Code))
}

// Refused tells whether err is a refusal, and its code or, without one, "".
func Refused(err error) (code string, refused bool) {
	var r *Refusal
	if !errors.As(err, &r) {
		return "", false
	}
	return r.Code, true
}

// Lost tells whether err means that nothing this worker reports is taken any
// more: its attempt is another's, or its token has expired.
func Lost(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Call != callPut && (r.Status == http.StatusConflict || r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden)
}

// Claim claims the attempt with a nonce, which must be the same in every try.
func (c *Client) Claim(ctx context.Context, nonce string) (runner.ClaimResponse, error) {
	var out runner.ClaimResponse
	err := c.call(ctx, "claim", runner.ClaimRequest{Protocol: runner.Version, Nonce: nonce}, &out)
	return out, err
}

// Pin offers a commit and returns the one that the task's runs use.
func (c *Client) Pin(ctx context.Context, commit string) (string, error) {
	var out runner.PinResponse
	err := c.call(ctx, "pin", runner.PinRequest{Commit: commit}, &out)
	return out.Commit, err
}

// Heartbeat keeps the lease, tells what was spent so far, and learns whether to
// stop.
func (c *Client) Heartbeat(ctx context.Context, phase string, spend task.Spend) (cancel bool, err error) {
	var out runner.HeartbeatResponse
	err = c.call(ctx, "heartbeat", runner.HeartbeatRequest{Phase: phase, Spend: spend}, &out)
	return out.Cancel, err
}

// Finish ends the attempt.
func (c *Client) Finish(ctx context.Context, r runner.FinishRequest) error {
	return c.call(ctx, "finish", r, &runner.Empty{})
}

// call posts a request and decodes the answer. It tries again on network
// errors, 408, 429 and 5xx until ctx is done.
func (c *Client) call(ctx context.Context, name string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: encode: %w", name, err)
	}
	return c.persist(ctx, name, func() error { return c.post(ctx, name, body, out) })
}

// persist repeats a try until it succeeds, is refused, or ctx is done.
func (c *Client) persist(ctx context.Context, name string, try func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longest) {
		err := try()
		if err == nil {
			return nil
		}
		if _, refused := Refused(err); refused {
			return err
		}
		// Between half the pause and all of it, so that workers do not come in step.
		select {
		case <-c.Clock.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; last: %w", name, context.Cause(ctx), err)
		}
	}
}

func (c *Client) post(ctx context.Context, name string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Base+"/runner/v1/"+name, bytes.NewReader(body))
	if err != nil {
		return &Refusal{Call: name, Code: "bad_url"} // no try would fare better
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 == 2 {
		if err := json.Unmarshal(answer, out); err != nil {
			return fmt.Errorf("the answer is no JSON: %w", err)
		}
		return nil
	}
	if again(resp.StatusCode) {
		return fmt.Errorf("answered %d", resp.StatusCode)
	}
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(answer, &problem) // the gateway's own refusals are no problems
	return &Refusal{Call: name, Status: resp.StatusCode, Code: problem.Code}
}

// again tells whether a status may change by itself.
func again(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}
