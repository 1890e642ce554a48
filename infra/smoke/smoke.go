package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/task"
)

// smoke is one pass over an Outpost.
type smoke struct {
	options
	api *service
	git string // its executable; empty where there is none
	out io.Writer

	task   api.Task
	events int    // of its run, seen so far
	cursor string // after the last of them
	lastly int64  // number of the last of them
	patch  []byte
}

// step is one check.
type step struct {
	what string
	do   func(context.Context) error
}

// skipped is why a step could not be taken, where that says nothing about
// Outpost.
type skipped string

func (s skipped) Error() string { return string(s) }

func (s *smoke) run(ctx context.Context) error {
	return s.take(ctx, []step{
		{"the API answers", s.health},
		{"no key and a wrong key are refused", s.refusals},
		{"the agent is offered", s.agents},
		{"a task is admitted, once for its idempotency key", s.submit},
		{"somebody else's task is not there", s.isolation},
		{"the task completes, followed by its events", s.complete},
		{"its events were all told, in order", s.story},
		{"its artifacts are what they say", s.artifacts},
		{"its patch is the same on its own route", s.route},
		{"its patch applies", s.applies},
	})
}

// take takes the steps in order, a line each. After the first failure, and when
// it is interrupted, the task is cancelled.
func (s *smoke) take(ctx context.Context, steps []step) error {
	for _, step := range steps {
		began := clock.System.Now()
		err := step.do(ctx)
		took := clock.System.Now().Sub(began).Milliseconds()
		var why skipped
		switch {
		case errors.As(err, &why):
			fmt.Fprintf(s.out, "skipped %-50s %6d ms (%s)\n", step.what, took, why)
		case err != nil:
			fmt.Fprintf(s.out, "failed  %-50s %6d ms\n", step.what, took)
			err = fmt.Errorf("%s: %w", step.what, reason(ctx, err))
			if left := s.cancel(ctx); left != nil {
				err = fmt.Errorf("%w; %w", err, left)
			}
			return err
		default:
			fmt.Fprintf(s.out, "ok      %-50s %6d ms\n", step.what, took)
		}
	}
	return nil
}

// reason says in words what a context's end means.
func reason(ctx context.Context, err error) error {
	switch ctx.Err() {
	case nil:
		return err
	case context.DeadlineExceeded:
		return errors.New("it took too long (-timeout)")
	default:
		return errors.New("interrupted")
	}
}

// goodbye is what cancelling may take when everything else was given up.
const goodbye = 10 * time.Second

func (s *smoke) cancel(ctx context.Context) error {
	if s.task.ID == "" || s.task.State == string(task.Completed) {
		return nil
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer done()
	if _, err := s.api.want(ctx, 202, nil, "POST", "/v1/tasks/"+s.task.ID+"/cancel", nil); err != nil {
		return fmt.Errorf("the task %s could not be cancelled: %w", s.task.ID, err)
	}
	return nil
}

func (s *smoke) health(ctx context.Context) error {
	_, err := s.api.want(ctx, 200, nil, "GET", "/health", nil)
	return err
}

func (s *smoke) refusals(ctx context.Context) error {
	if _, err := s.api.as("").want(ctx, 401, nil, "GET", "/v1/tasks", nil); err != nil {
		return err
	}
	got, err := s.api.as("op_live_"+strings.Repeat("0", 38)).ask(ctx, "GET", "/v1/tasks", nil)
	if err == nil && got.status != 401 && got.status != 403 {
		err = fmt.Errorf("a wrong key is answered %d", got.status)
	}
	return err
}

func (s *smoke) agents(ctx context.Context) error {
	var list struct{ Data []struct{ Name string } }
	if _, err := s.api.want(ctx, 200, &list, "GET", "/v1/agents", nil); err != nil {
		return err
	}
	for _, a := range list.Data {
		if a.Name == s.agent {
			return nil
		}
	}
	return fmt.Errorf("the tenant's plan has no %s", s.agent)
}

func (s *smoke) submit(ctx context.Context) error {
	body := map[string]any{"repo": s.repo, "agents": []string{s.agent}, "verify": "test -s OUTPOST.md", "tags": []string{"smoke"},
		"prompt": "Write a file OUTPOST.md with one sentence that says hello. [write path=OUTPOST.md]Hello from Outpost.\n[/write]"}
	key := "smoke-" + rand.Text()
	if err := ctx.Err(); err != nil {
		return err
	}
	// Not to be interrupted: nobody could cancel a task without its id.
	if _, err := s.api.want(context.WithoutCancel(ctx), 202, &s.task, "POST", "/v1/tasks", body, "Idempotency-Key", key); err != nil {
		return err
	}
	if len(s.task.Runs) != 1 {
		return fmt.Errorf("%s has %d runs for one agent", s.task.ID, len(s.task.Runs))
	}
	var again api.Task
	got, err := s.api.want(ctx, 202, &again, "POST", "/v1/tasks", body, "Idempotency-Key", key)
	switch {
	case err != nil:
	case again.ID != s.task.ID:
		err = fmt.Errorf("the same submission made %s and %s", s.task.ID, again.ID)
	case got.header.Get("Idempotent-Replayed") != "true":
		err = errors.New("the second answer is not marked as replayed")
	}
	return err
}

func (s *smoke) isolation(ctx context.Context) error {
	got, err := s.api.want(ctx, 404, nil, "GET", "/v1/tasks/"+id.New(id.Task, clock.System.Now()), nil)
	if err == nil && !strings.HasPrefix(got.header.Get("Content-Type"), "application/problem+json") {
		err = fmt.Errorf("the refusal is a %s", got.header.Get("Content-Type"))
	}
	return err
}

const (
	look = 500 * time.Millisecond // between two looks at the task
	wait = 20                     // seconds of a long poll: the most that the API takes
)

// complete follows the run by long polls until the task is completed.
func (s *smoke) complete(ctx context.Context) error {
	run := s.task.Runs[0].ID
	for {
		if _, err := s.follow(ctx, run); err != nil {
			return err
		}
		if _, err := s.api.want(ctx, 200, &s.task, "GET", "/v1/tasks/"+s.task.ID, nil); err != nil {
			return err
		}
		if len(s.task.Runs) != 1 || s.task.Runs[0].ID != run {
			return fmt.Errorf("%s has other runs than it began with", s.task.ID)
		}
		if s.task.State == string(task.Completed) {
			break
		}
		select {
		case <-clock.System.After(look):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r := s.task.Runs[0]
	if r.State != string(task.Succeeded) {
		why := "no reason"
		if r.Reason != nil {
			why = r.Reason.Code + ": " + r.Reason.Detail
		}
		return fmt.Errorf("%s is %s (%s)", r.ID, r.State, why)
	}
	return nil
}

// follow reads the run's next events, and tells whether there may be more.
func (s *smoke) follow(ctx context.Context, run string) (more bool, err error) {
	path := fmt.Sprintf("/v1/runs/%s/events?wait=%d", run, wait)
	if s.cursor != "" {
		path += "&after=" + s.cursor
	}
	var page api.EventPage[task.Event]
	if _, err := s.api.want(ctx, 200, &page, "GET", path, nil); err != nil {
		return false, err
	}
	for _, e := range page.Data {
		if e.Seq <= s.lastly {
			return false, fmt.Errorf("event %d of %s came after event %d", e.Seq, run, s.lastly)
		}
		s.lastly = e.Seq
	}
	s.events += len(page.Data)
	s.cursor = page.NextCursor
	return len(page.Data) > 0 || !task.State(page.State).Terminal(), nil
}

// story reads what was not yet told when the task was completed.
func (s *smoke) story(ctx context.Context) error {
	for {
		more, err := s.follow(ctx, s.task.Runs[0].ID)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if s.events == 0 {
		return errors.New("there are none")
	}
	return nil
}

func (s *smoke) artifacts(ctx context.Context) error {
	var list struct {
		Data []struct {
			Name, SHA256, URL string
			Size              int64
		}
	}
	if _, err := s.api.want(ctx, 200, &list, "GET", "/v1/runs/"+s.task.Runs[0].ID+"/artifacts", nil); err != nil {
		return err
	}
	for _, a := range list.Data {
		got, err := s.api.ask(ctx, "GET", a.URL, nil)
		if err == nil && got.status != 200 {
			err = fmt.Errorf("the artifact store answered %d", got.status)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		if sum := sha256.Sum256(got.body); hex.EncodeToString(sum[:]) != a.SHA256 || int64(len(got.body)) != a.Size {
			return fmt.Errorf("%s differs from its size or its SHA-256", a.Name)
		}
		if a.Name == task.ArtifactPatch {
			s.patch = got.body
		}
	}
	if s.patch == nil {
		return errors.New("there is no patch among them")
	}
	return nil
}

// route compares the patch of the API's own route with the artifact.
func (s *smoke) route(ctx context.Context) error {
	got, err := s.api.want(ctx, 200, nil, "GET", "/v1/runs/"+s.task.Runs[0].ID+"/patch", nil)
	if err == nil && string(got.body) != string(s.patch) {
		err = errors.New("the route and the artifact give different patches")
	}
	return err
}

// applies applies the patch to a clone, at the commit that the run worked on.
func (s *smoke) applies(ctx context.Context) error {
	if s.git == "" {
		return skipped("git is not on the PATH")
	}
	if s.task.Commit == nil {
		return errors.New("the task names no commit")
	}
	dir, err := os.MkdirTemp("", "outpost-smoke-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, clone := filepath.Join(dir, "patch"), filepath.Join(dir, "clone")
	if err := os.WriteFile(file, s.patch, 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{{"clone", "--quiet", "--", s.repo, clone}, {"checkout", "--quiet", "--detach", *s.task.Commit}, {"apply", "--check", file}} {
		cmd := exec.CommandContext(ctx, s.git, args...)
		cmd.Dir = dir
		if args[0] != "clone" {
			cmd.Dir = clone
		}
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0") // it would wait for a password
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, strings.Join(strings.Fields(string(out)), " "))
		}
	}
	return nil
}
