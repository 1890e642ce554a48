package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"outpost/shared/api"
	"outpost/shared/problem"
	"outpost/shared/task"
)

type store interface {
	Task(ctx context.Context, tenantID, taskID string) (task.Task, error)
	RunEvents(ctx context.Context, tenantID, runID string, afterSeq int64, limit int) (events []task.Event, more bool, err error)
}

type handler struct{ store store }

// event is an event with the run that it happened in.
type event struct {
	Run string `json:"run"`
	task.Event
}

// handle reads each run's events behind what the cursor says was read of it, in
// the order of runs, until the page is full.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	read, err := parse(r.Query["after"], r.Path)
	if err != nil {
		return api.Response{}, err
	}
	limit := 100
	if n, err := strconv.Atoi(r.Query["limit"]); err == nil {
		limit = n
	}
	tk, err := h.store.Task(ctx, r.Caller.Tenant, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	page := api.EventPage[event]{Data: []event{}, State: string(tk.State)}
	for i, run := range tk.Runs {
		if len(page.Data) == limit {
			page.HasMore = page.HasMore || i < len(tk.Runs)
			break
		}
		events, more, err := h.store.RunEvents(ctx, r.Caller.Tenant, run.ID, read[run.Number], limit-len(page.Data))
		if err != nil {
			return api.Response{}, err
		}
		for _, e := range events {
			page.Data = append(page.Data, event{run.ID, e})
			read[run.Number] = e.Seq
		}
		page.HasMore = page.HasMore || more
	}
	body, err := json.Marshal(cursor{r.Path, read})
	if err != nil {
		return api.Response{}, err
	}
	page.NextCursor = base64.RawURLEncoding.EncodeToString(body)
	return api.OK(page), nil
}

// cursor says, by run number, which event of a task was read last. It is not
// signed: it names a place in a list, and whose list it is says the caller.
type cursor struct {
	Task string        `json:"t"`
	Read map[int]int64 `json:"r"`
}

// parse reads a cursor of this task.
func parse(text, taskID string) (map[int]int64, error) {
	if text == "" {
		return map[int]int64{}, nil
	}
	var c cursor
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	ok := err == nil && c.Task == taskID && c.Read != nil && len(c.Read) <= task.MaxRuns
	for n, seq := range c.Read {
		ok = ok && n >= 1 && n <= task.MaxRuns && seq >= 0
	}
	if !ok {
		return nil, api.InvalidParameter(problem.Field{Field: "after", Message: "must be a next_cursor of this list"})
	}
	return c.Read, nil
}
