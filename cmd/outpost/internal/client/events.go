package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"outpost/shared/task"
)

// Event is one thing that happened in a run.
type Event struct {
	Run  string    `json:"run"` // id; only in a task's events
	Seq  int64     `json:"seq"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	Text string    `json:"text"`
}

// Events is a page of events, oldest first.
type Events struct {
	Data       []Event    `json:"data"`
	NextCursor string     `json:"next_cursor"` // where the next page begins, always there
	HasMore    bool       `json:"has_more"`
	State      task.State `json:"state"` // of the run or the task
}

// Ended tells whether nothing will follow this page.
func (e Events) Ended() bool {
	return !e.HasMore && (e.State.Terminal() || e.State == task.Completed)
}

// RunEvents reads a run's events after a cursor ("" for the first page). An
// empty page is held back by the API for up to wait, at most 20 s.
func (c *Client) RunEvents(ctx context.Context, run, after string, wait time.Duration) (e Events, err error) {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	if wait > 0 {
		q.Set("wait", strconv.Itoa(int(wait/time.Second)))
	}
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/runs/" + url.PathEscape(run) + "/events", query: q}, &e)
	for i := range e.Data {
		e.Data[i].Run = run
	}
	return e, err
}

// TaskEvents reads the events of all runs of a task after a cursor ("" for the
// first page). It never waits.
func (c *Client) TaskEvents(ctx context.Context, id, after string) (e Events, err error) {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/tasks/" + url.PathEscape(id) + "/events", query: q}, &e)
	return e, err
}
