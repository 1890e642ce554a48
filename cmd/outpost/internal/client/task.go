package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"outpost/shared/task"
)

// NewTask is what a submission says. Zero fields are left out, and the API's
// defaults hold.
type NewTask struct {
	Repo           string     `json:"repo"`
	Ref            string     `json:"ref,omitempty"`
	Prompt         string     `json:"prompt"`
	Agents         []NewAgent `json:"agents"`
	Setup          string     `json:"setup,omitempty"`
	Verify         string     `json:"verify,omitempty"`
	TimeoutSeconds int        `json:"timeout_seconds,omitempty"`
	BudgetUSD      float64    `json:"budget_usd,omitempty"`
	Tags           []string   `json:"tags,omitempty"`
	Priority       string     `json:"priority,omitempty"`
}

// NewAgent asks for one run; Name may be "all". Model is empty for the agent's
// default.
type NewAgent struct {
	Name  string
	Model string
}

// MarshalJSON writes the plain name where there is no model.
func (a NewAgent) MarshalJSON() ([]byte, error) {
	if a.Model == "" {
		return json.Marshal(a.Name)
	}
	return json.Marshal(struct {
		Agent string `json:"agent"`
		Model string `json:"model"`
	}{a.Name, a.Model})
}

// Task is a task as the API shows it. In lists it has no prompt and no runs.
type Task struct {
	ID         string       `json:"id"`
	State      task.State   `json:"state"`
	Outcome    task.Outcome `json:"outcome"` // empty until completed
	Repo       string       `json:"repo"`
	Ref        string       `json:"ref"`
	Commit     string       `json:"commit"` // empty until pinned
	Prompt     string       `json:"prompt"`
	Verify     string       `json:"verify"`
	Tags       []string     `json:"tags"`
	CreatedAt  time.Time    `json:"created_at"`
	StartedAt  time.Time    `json:"started_at"`
	FinishedAt time.Time    `json:"finished_at"`
	RunCounts  RunCounts    `json:"run_counts"`
	Runs       []Run        `json:"runs"`
	BestRun    string       `json:"best_run"` // empty when no run has succeeded
	Queue      *Queue       `json:"queue"`    // of TaskInQueue alone

	raw json.RawMessage
}

// Queue is a task's place among the tenant's own, from 1, and when it may start;
// nil and zero where that is not known, or nothing waits.
type Queue struct {
	Position         *int      `json:"position"`
	EstimatedStartAt time.Time `json:"estimated_start_at"`
}

// RunCounts counts a task's runs.
type RunCounts struct {
	Total     int `json:"total"`
	Remaining int `json:"remaining"`
	Succeeded int `json:"succeeded"`
	Cancelled int `json:"cancelled"`
}

// Run is one agent's try, as the API shows it. Pointers are nil for what is not
// known, or not yet.
type Run struct {
	ID                string     `json:"id"`
	Task              string     `json:"task"`
	Number            int        `json:"number"`
	Agent             string     `json:"agent"`
	Model             string     `json:"model"`
	State             task.State `json:"state"`
	Reason            *Reason    `json:"reason"`
	Attempt           int        `json:"attempt"`
	StartedAt         time.Time  `json:"started_at"`
	FinishedAt        time.Time  `json:"finished_at"`
	DurationSeconds   *float64   `json:"duration_seconds"`
	CancelRequestedAt time.Time  `json:"cancel_requested_at"`
	Patch             *Patch     `json:"patch"`
	Usage             *Usage     `json:"usage"`
	Verify            *Verify    `json:"verify"`
	Isolation         string     `json:"isolation"`
	Rank              *int       `json:"rank"`

	raw json.RawMessage
}

// Reason says why a run ended otherwise than well.
type Reason struct {
	Code   task.Reason `json:"code"`
	Detail string      `json:"detail"`
}

// Patch is the size of a run's patch.
type Patch struct {
	Files     int `json:"files"`
	Additions int `json:"additions"`
	Deletions int `json:"deletions"`
}

// Usage is what a run used at its provider.
type Usage struct {
	InputTokens  int64    `json:"input_tokens"`
	OutputTokens int64    `json:"output_tokens"`
	CostUSD      *float64 `json:"cost_usd"`
}

// Verify is what the verify command said.
type Verify struct {
	State    task.VerifyState `json:"state"`
	ExitCode *int             `json:"exit_code"`
}

// UnmarshalJSON keeps the whole answer beside what the client reads of it.
func (t *Task) UnmarshalJSON(b []byte) error {
	type plain Task
	t.raw = append(json.RawMessage(nil), b...)
	return json.Unmarshal(b, (*plain)(t))
}

// MarshalJSON writes the API's own answer, with the fields that the client does
// not know.
func (t Task) MarshalJSON() ([]byte, error) { return t.raw, nil }

// UnmarshalJSON keeps the whole answer beside what the client reads of it.
func (r *Run) UnmarshalJSON(b []byte) error {
	type plain Run
	r.raw = append(json.RawMessage(nil), b...)
	return json.Unmarshal(b, (*plain)(r))
}

// MarshalJSON writes the API's own answer, with the fields that the client does
// not know.
func (r Run) MarshalJSON() ([]byte, error) { return r.raw, nil }

// Create submits a task under an idempotency key. Replayed tells that the key
// was used before with the same task, which is then returned.
func (c *Client) Create(ctx context.Context, t NewTask, idempotencyKey string) (created Task, replayed bool, err error) {
	replayed, err = c.post(ctx, "/v1/tasks", t, idempotencyKey, &created)
	return created, replayed, err
}

// Task reads a task with its runs.
func (c *Client) Task(ctx context.Context, id string) (t Task, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/tasks/" + url.PathEscape(id)}, &t)
	return t, err
}

// TaskInQueue reads a task with its runs, and its place in the queue.
func (c *Client) TaskInQueue(ctx context.Context, id string) (t Task, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/tasks/" + url.PathEscape(id), query: url.Values{"include": {"queue"}}}, &t)
	return t, err
}

// Run reads a run.
func (c *Client) Run(ctx context.Context, id string) (r Run, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/runs/" + url.PathEscape(id)}, &r)
	return r, err
}

// CancelTask asks for the end of every run of a task.
func (c *Client) CancelTask(ctx context.Context, id string) (t Task, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/v1/tasks/" + url.PathEscape(id) + "/cancel"}, &t)
	return t, err
}

// CancelRun asks for the end of a run.
func (c *Client) CancelRun(ctx context.Context, id string) (r Run, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/v1/runs/" + url.PathEscape(id) + "/cancel"}, &r)
	return r, err
}

// page is a list's answer.
type page[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor"`
	HasMore    bool   `json:"has_more"`
}

// maxPage is the most that the API returns at once.
const maxPage = 100

// TaskFilter says which tasks a list holds; what is empty does not matter.
type TaskFilter struct {
	State, Agent, Repo, Tag string
	Since, Until            time.Time // created at Since or later, before Until
}

func (f TaskFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"state": f.State, "agent": f.Agent, "repo": f.Repo, "tag": f.Tag} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return q
}

// Tasks returns the newest n tasks that pass a filter, or all when there are
// fewer.
func (c *Client) Tasks(ctx context.Context, f TaskFilter, n int) ([]Task, error) {
	return pages[Task](ctx, c, "/v1/tasks", f.query(), n)
}

// pages follows the cursors of a list until it has n entries, or all of them.
func pages[T any](ctx context.Context, c *Client, path string, q url.Values, n int) ([]T, error) {
	all := []T{}
	for len(all) < n {
		q.Set("limit", strconv.Itoa(min(n-len(all), maxPage)))
		var p page[T]
		if _, err := c.do(ctx, call{method: http.MethodGet, path: path, query: q}, &p); err != nil {
			return nil, err
		}
		all = append(all, p.Data...)
		if !p.HasMore || p.NextCursor == "" {
			break
		}
		q.Set("cursor", p.NextCursor)
	}
	return all, nil
}

// Agent is an agent that the tenant may use.
type Agent struct {
	Name         string   `json:"name"`
	Title        string   `json:"title"`
	DefaultModel string   `json:"default_model"`
	Models       []string `json:"models"` // prefixes
	Secrets      []string `json:"secrets"`
}

// Agents lists the agents of the tenant's plan.
func (c *Client) Agents(ctx context.Context) ([]Agent, error) {
	var p page[Agent]
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/agents"}, &p)
	return p.Data, err
}

// Diff returns a run's patch, whole or not at all: an answer that breaks off is
// an error.
func (c *Client) Diff(ctx context.Context, run string) ([]byte, error) {
	a, err := c.do(ctx, call{
		method: http.MethodGet, path: "/v1/runs/" + url.PathEscape(run) + "/patch",
		timeout: patchTimeout, follow: true,
	}, nil)
	return a.body, err
}
