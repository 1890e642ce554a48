package client

import (
	"context"
	"net/http"
	"net/url"
)

// UsageReport is what runs took that ended on the days of a period.
type UsageReport struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Today Period `json:"today"`
	Total Period `json:"total"`
	By    string `json:"by"`
	Data  []Part `json:"data"`
}

// Period is what the runs of some days took, and how many were submitted then.
type Period struct {
	RunsAdmitted int `json:"runs_admitted"`
	Sum
}

// Part is what the runs of an agent, a model or a day took.
type Part struct {
	Name string `json:"name"`
	Sum
}

// Sum is what some runs took together.
type Sum struct {
	Runs struct {
		Succeeded int `json:"succeeded"`
		Failed    int `json:"failed"`
		TimedOut  int `json:"timed_out"`
		Cancelled int `json:"cancelled"`
	} `json:"runs"`
	InputTokens       int64   `json:"input_tokens"`
	CachedInputTokens int64   `json:"cached_input_tokens"`
	OutputTokens      int64   `json:"output_tokens"`
	CostUSD           float64 `json:"cost_usd"`
	RunsWithoutPrice  int     `json:"runs_without_price"`
	AgentSeconds      float64 `json:"agent_seconds"`
}

// Usage reads what runs took from one day to another (2006-01-02; empty: this
// month so far), by agent, model or day.
func (c *Client) Usage(ctx context.Context, from, to, by string) (u UsageReport, err error) {
	q := url.Values{}
	for name, value := range map[string]string{"from": from, "to": to, "by": by} {
		if value != "" {
			q.Set(name, value)
		}
	}
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/usage", query: q}, &u)
	return u, err
}
