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
	out io.Writer

	task  api.Task
	patch []byte
}

// step is one check.
type step struct {
	what string
	do   func(context.Context) error
}

// run takes the steps in order, a line each. After the first failure, and when
// it is interrupted, the task is cancelled.
func (s *smoke) run(ctx context.Context) error {
	for _, step := range []step{
		{"the API answers", s.health},
		{"no key and a wrong key are refused", s.refusals},
		{"the agent is offered", s.agents},
		{"a task is admitted, once for its idempotency key", s.submit},
		{"somebody else's task is not there", s.isolation},
		{"the task completes", s.complete},
		{"its events tell how", s.events},
		{"its artifacts are what they say", s.artifacts},
		{"its patch applies", s.applies},
	} {
		began := clock.System.Now()
		err := step.do(ctx)
		took := clock.System.Now().Sub(began).Milliseconds()
		if err != nil {
			fmt.Fprintf(s.out, "failed  %-50s %6d ms\n", step.what, took)
			return errors.Join(fmt.Errorf("%s: %w", step.what, reason(ctx, err)), s.cancel(ctx))
		}
		fmt.Fprintf(s.out, "ok      %-50s %6d ms\n", step.what, took)
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
		return fmt.Errorf("and the task %s could not be cancelled: %w", s.task.ID, err)
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
	if _, err := s.api.want(ctx, 202, &s.task, "POST", "/v1/tasks", body, "Idempotency-Key", key); err != nil {
		return err
	}
	var again api.Task
	got, err := s.api.want(ctx, 202, &again, "POST", "/v1/tasks", body, "Idempotency-Key", key)
	if err == nil && (again.ID != s.task.ID || got.header.Get("Idempotent-Replayed") != "true") {
		err = fmt.Errorf("the same submission made %s and %s", s.task.ID, again.ID)
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

// look is the pause between two looks at the task.
const look = 500 * time.Millisecond

func (s *smoke) complete(ctx context.Context) error {
	for s.task.State != string(task.Completed) {
		select {
		case <-clock.System.After(look):
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := s.api.want(ctx, 200, &s.task, "GET", "/v1/tasks/"+s.task.ID, nil); err != nil {
			return err
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

func (s *smoke) events(ctx context.Context) error {
	var page struct{ Data []task.Event }
	if _, err := s.api.want(ctx, 200, &page, "GET", "/v1/runs/"+s.task.Runs[0].ID+"/events?wait=1", nil); err != nil {
		return err
	}
	if len(page.Data) == 0 {
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
		got, err := s.api.want(ctx, 200, nil, "GET", a.URL, nil)
		if err != nil {
			return fmt.Errorf("%s: the store answered %d", a.Name, got.status) // never its URL, which is a key
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

// applies compares the patch of the API's own route with the artifact, and
// applies it to a clone.
func (s *smoke) applies(ctx context.Context) error {
	got, err := s.api.want(ctx, 200, nil, "GET", "/v1/runs/"+s.task.Runs[0].ID+"/patch", nil)
	if err != nil {
		return err
	}
	if string(got.body) != string(s.patch) {
		return errors.New("the route and the artifact give different patches")
	}
	if _, err := exec.LookPath("git"); err != nil {
		return errors.New("git is not on the PATH")
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
	for _, args := range [][]string{{"clone", "--quiet", s.repo, clone}, {"-C", clone, "checkout", "--quiet", *s.task.Commit}, {"-C", clone, "apply", "--check", file}} {
		if out, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
