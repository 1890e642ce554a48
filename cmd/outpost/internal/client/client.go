// Package client talks to Outpost's API over HTTP. It has types of its own for
// what it sends and reads, so the command-line client shares no code with the
// server but the words of the domain; a test holds both against the contract.
//
// Every call may be repeated: reads, changes and cancels by nature, what makes
// something by its idempotency key. So one rule covers all of them: what may succeed later is
// tried again, a few times, with growing and random pauses, or when the answer
// says when.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"outpost/shared/clock"
)

const (
	// callTimeout bounds one try of an ordinary call. API Gateway gives up
	// after 30 s; a long poll waits up to 20 s.
	callTimeout = 35 * time.Second
	// patchTimeout bounds one try to download a patch.
	patchTimeout = 5 * time.Minute
	// maxAnswer is the largest answer that is read, in bytes. A task's page of
	// events is at most some megabytes.
	maxAnswer = 32 << 20
)

// Client calls the API of one Outpost with one API key. It is safe for
// concurrent use.
type Client struct {
	base  string
	key   string
	agent string
	http  *http.Client
	clock clock.Clock
	// spread returns a random duration up to d, for the pauses between tries.
	spread func(d time.Duration) time.Duration
}

// New returns a client of the Outpost at base (http or https, without /v1).
// The version goes into the User-Agent.
func New(base, key, version string) *Client {
	return &Client{
		base:  strings.TrimRight(base, "/"),
		key:   key,
		agent: "outpost-cli/" + version,
		http: &http.Client{
			// A redirect leads to another service, which must not see the key.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		clock:  clock.System,
		spread: jitter,
	}
}

// call is one request to the API. A body is sent as JSON.
type call struct {
	method  string
	path    string
	query   url.Values
	header  http.Header
	body    any
	timeout time.Duration // of one try; 0 means callTimeout
	follow  bool          // follow a redirect, without the key
}

// answer is what the API sent back with a status below 400.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do makes the call, again where that may help, and decodes a JSON answer into
// out unless out is nil. The error is an *Error when the API refused, an
// *Unreachable when there was no whole answer, or the context's.
func (c *Client) do(ctx context.Context, call call, out any) (answer, error) {
	var body []byte
	if call.body != nil {
		var err error
		if body, err = json.Marshal(call.body); err != nil {
			return answer{}, fmt.Errorf("encode the request: %w", err)
		}
	}
	target := c.base + call.path
	if len(call.query) > 0 {
		target += "?" + call.query.Encode()
	}
	for try := 1; ; try++ {
		got, err := c.once(ctx, call, target, body)
		if err == nil {
			return got, decode(got, out)
		}
		if ctx.Err() != nil {
			return answer{}, ctx.Err()
		}
		pause, again := c.pause(try, err)
		if !again {
			return answer{}, err
		}
		select {
		case <-c.clock.After(pause):
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
	}
}

// once makes one try.
func (c *Client) once(ctx context.Context, call call, target string, body []byte) (answer, error) {
	timeout := call.timeout
	if timeout == 0 {
		timeout = callTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, call.method, target, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("the URL %q is not valid", c.base)
	}
	for name, values := range call.header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	got, err := c.send(req)
	if err == nil && call.follow && got.status >= 300 {
		got, err = c.followOnce(ctx, req.URL, got.header.Get("Location"))
	}
	return got, err
}

// followOnce fetches what a redirect names, without the API key.
func (c *Client) followOnce(ctx context.Context, from *url.URL, location string) (answer, error) {
	to, err := from.Parse(location)
	if err != nil || location == "" {
		return answer{}, &Unreachable{Base: c.base, cause: errors.New("a redirect that leads nowhere")}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return answer{}, &Unreachable{Base: c.base, cause: errors.New("a redirect that leads nowhere")}
	}
	return c.send(req)
}

func (c *Client) send(req *http.Request) (answer, error) {
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Accept", "application/json, application/problem+json, text/x-diff")
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, &Unreachable{Base: c.base, cause: bare(err)}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return answer{}, &Unreachable{Base: c.base, cause: fmt.Errorf("the answer broke off: %w", err)}
	}
	if len(body) > maxAnswer {
		return answer{}, fmt.Errorf("the answer is larger than %d MB, which no answer of Outpost is", maxAnswer>>20)
	}
	if res.StatusCode >= 400 {
		return answer{}, refusal(res, body)
	}
	return answer{res.StatusCode, res.Header, body}, nil
}

// decode reads a JSON answer. What answers something else is no Outpost.
func decode(a answer, out any) error {
	if out == nil {
		return nil
	}
	if a.status >= 300 {
		return fmt.Errorf("the address answers with a redirect (HTTP %d): is it the address of an Outpost?", a.status)
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return fmt.Errorf("the answer is not what Outpost's API answers (%w): is it the address of an Outpost?", err)
	}
	return nil
}

// bare takes the method and the URL off the HTTP client's errors.
func bare(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		if e.Timeout() {
			return errors.New("no answer in time")
		}
		return e.Err
	}
	return err
}
