package api

import (
	"time"

	"outpost/shared/task"
)

// Summary is a task as lists show it.
type Summary struct {
	ID             string    `json:"id"`
	State          string    `json:"state"`
	Outcome        *string   `json:"outcome"`
	Repo           string    `json:"repo"`
	Ref            *string   `json:"ref"`
	Commit         *string   `json:"commit"`
	Setup          *string   `json:"setup"`
	Verify         *string   `json:"verify"`
	TimeoutSeconds int       `json:"timeout_seconds"`
	BudgetUSD      *float64  `json:"budget_usd"`
	Tags           []string  `json:"tags"`
	Priority       string    `json:"priority"`
	CreatedAt      string    `json:"created_at"`
	StartedAt      *string   `json:"started_at"`
	FinishedAt     *string   `json:"finished_at"`
	RunCounts      RunCounts `json:"run_counts"`
}

// RunCounts is a task's tally.
type RunCounts struct {
	Total     int `json:"total"`
	Remaining int `json:"remaining"`
	Succeeded int `json:"succeeded"`
	Cancelled int `json:"cancelled"`
}

// Task is a task with its runs.
type Task struct {
	Summary
	Prompt  string  `json:"prompt"`
	Runs    []Run   `json:"runs"`
	BestRun *string `json:"best_run"`
	Queue   *Queue  `json:"queue,omitempty"` // only when asked for
}

// Queue is a waiting task's place.
type Queue struct {
	Position         *int    `json:"position"`
	EstimatedStartAt *string `json:"estimated_start_at"`
}

// Run is a run as the API shows it.
type Run struct {
	ID                string          `json:"id"`
	Task              string          `json:"task"`
	Number            int             `json:"number"`
	Agent             string          `json:"agent"`
	Model             string          `json:"model"`
	State             string          `json:"state"`
	Reason            *Reason         `json:"reason"`
	Attempt           int             `json:"attempt"`
	CreatedAt         string          `json:"created_at"`
	StartedAt         *string         `json:"started_at"`
	FinishedAt        *string         `json:"finished_at"`
	DurationSeconds   *float64        `json:"duration_seconds"`
	CancelRequestedAt *string         `json:"cancel_requested_at"`
	Patch             *task.PatchStat `json:"patch"`
	Usage             *Usage          `json:"usage"`
	Verify            *Verify         `json:"verify"`
	Isolation         *string         `json:"isolation"`
	Rank              *int            `json:"rank"`
}

// Reason is why a run ended otherwise than well.
type Reason struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Usage is what a run took of its provider.
type Usage struct {
	InputTokens       int64    `json:"input_tokens"`
	CachedInputTokens int64    `json:"cached_input_tokens"`
	OutputTokens      int64    `json:"output_tokens"`
	CostUSD           *float64 `json:"cost_usd"`
}

// Verify is what the verify command said.
type Verify struct {
	State    string `json:"state"`
	ExitCode *int   `json:"exit_code"`
}

// ViewSummary shows a task in a list.
func ViewSummary(t task.Task) Summary {
	v := Summary{ID: t.ID, State: string(t.State), Outcome: orNull(string(t.Outcome)), Repo: t.Spec.Repo, Ref: orNull(t.Spec.Ref),
		Commit: orNull(t.Commit), Setup: orNull(t.Spec.Setup), Verify: orNull(t.Spec.Verify),
		TimeoutSeconds: int(t.Spec.Timeout.Seconds()), Tags: t.Spec.Tags, Priority: string(t.Spec.Priority),
		CreatedAt: stamp(t.CreatedAt), StartedAt: timeOrNull(t.StartedAt), FinishedAt: timeOrNull(t.EndedAt),
		RunCounts: RunCounts{t.Tally.Total, t.Tally.Remaining, t.Tally.Succeeded, t.Tally.Cancelled}}
	if v.Tags == nil {
		v.Tags = []string{}
	}
	if t.Spec.BudgetUSD > 0 {
		v.BudgetUSD = &t.Spec.BudgetUSD
	}
	return v
}

// ViewTask shows a task with its runs and their ranks.
func ViewTask(t task.Task, prompt string) Task {
	v := Task{Summary: ViewSummary(t), Prompt: prompt, Runs: []Run{}}
	ranked := task.Ranked(t.Runs)
	for _, r := range t.Runs {
		v.Runs = append(v.Runs, ViewRun(r, ranked))
	}
	if len(ranked) > 0 {
		v.BestRun = &ranked[0]
	}
	return v
}

// ViewRun shows a run; ranked is the ids of its task's runs, best first.
func ViewRun(r task.Run, ranked []string) Run {
	v := Run{ID: r.ID, Task: r.Task, Number: r.Number, Agent: r.Agent, Model: r.Model, State: string(r.State), Attempt: r.Attempt.Number,
		CreatedAt: stamp(r.CreatedAt), StartedAt: timeOrNull(r.StartedAt), FinishedAt: timeOrNull(r.EndedAt),
		CancelRequestedAt: timeOrNull(r.CancelRequestedAt)}
	if r.State.Terminal() && r.Reason != "" {
		v.Reason = &Reason{string(r.Reason), r.Detail}
		if r.Detail == "" {
			v.Reason.Detail = r.Reason.Info().Sentence
		}
	}
	if !r.StartedAt.IsZero() && !r.EndedAt.IsZero() {
		seconds := r.EndedAt.Sub(r.StartedAt).Round(time.Millisecond).Seconds()
		v.DurationSeconds = &seconds
	}
	if spend := r.Spend(); r.Result != nil || r.State.Terminal() && !spend.Nothing() {
		v.Usage = &Usage{spend.Usage.InputTokens, spend.Usage.CachedInputTokens, spend.Usage.OutputTokens, spend.CostUSD}
	}
	if res := r.Result; res != nil {
		if res.Patch.Bytes > 0 {
			v.Patch = &res.Patch
		}
		v.Verify = &Verify{State: string(res.Verify.State)}
		if res.Verify.State == task.VerifyPassed || res.Verify.State == task.VerifyFailed {
			v.Verify.ExitCode = &res.Verify.ExitCode
		}
		v.Isolation = orNull(res.Isolation)
	}
	for i, id := range ranked {
		if rank := i + 1; id == r.ID {
			v.Rank = &rank
		}
	}
	return v
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func timeOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := stamp(t)
	return &s
}
