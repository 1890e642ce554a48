package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Limits are what a tenant may do, and how much of it is used.
type Limits struct {
	Plan              string   `json:"plan"`
	State             string   `json:"state"`
	RunsToday         Day      `json:"runs_today"`
	ConcurrentRuns    Slots    `json:"concurrent_runs"`
	Agents            []string `json:"agents"`
	MaxTimeoutSeconds int      `json:"max_timeout_seconds"`
	RequestsPerMinute int      `json:"requests_per_minute"`

	raw json.RawMessage
}

// Day is how many runs were submitted on a UTC day, of how many; a nil limit is
// none.
type Day struct {
	Limit    *int      `json:"limit"`
	Used     int       `json:"used"`
	ResetsAt time.Time `json:"resets_at"`
}

// Slots are how many runs may be on their way at once, and how many are.
type Slots struct {
	Limit   int `json:"limit"`
	Running int `json:"running"`
	Waiting int `json:"waiting"`
}

// UnmarshalJSON keeps the whole answer beside what the client reads of it.
func (l *Limits) UnmarshalJSON(b []byte) error {
	type plain Limits
	l.raw = append(json.RawMessage(nil), b...)
	return json.Unmarshal(b, (*plain)(l))
}

// MarshalJSON writes the API's own answer.
func (l Limits) MarshalJSON() ([]byte, error) { return l.raw, nil }

// Limits reads where the tenant stands.
func (c *Client) Limits(ctx context.Context) (l Limits, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/limits"}, &l)
	return l, err
}
