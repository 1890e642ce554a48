package main

import (
	"context"
	"strconv"
	"time"

	"outpost/shared/api"
	"outpost/shared/clock"
	"outpost/shared/task"
)

type store interface {
	Run(ctx context.Context, tenantID, runID string) (task.Run, error)
	RunEvents(ctx context.Context, tenantID, runID string, afterSeq int64, limit int) (events []task.Event, more bool, err error)
}

type handler struct {
	store store
	clock clock.Clock
}

// lookEvery is the pause between two looks while a caller waits.
const lookEvery = time.Second

// handle reads the run's state before its events: a run that had ended then has
// no events to come, so an end state with nothing more is the whole story.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	after, limit, wait := number(r.Query["after"], 0), number(r.Query["limit"], 100), number(r.Query["wait"], 0)
	until := h.clock.Now().Add(time.Duration(wait) * time.Second)
	for {
		run, err := h.store.Run(ctx, r.Caller.Tenant, r.Path)
		if err != nil {
			return api.Response{}, err
		}
		events, more, err := h.store.RunEvents(ctx, r.Caller.Tenant, r.Path, after, int(limit))
		if err != nil {
			return api.Response{}, err
		}
		left := until.Sub(h.clock.Now())
		if len(events) > 0 || run.State.Terminal() || left <= 0 {
			return api.OK(page(run, events, more, after)), nil
		}
		select {
		case <-h.clock.After(min(lookEvery, left)):
		case <-ctx.Done():
			return api.Response{}, ctx.Err()
		}
	}
}

func page(run task.Run, events []task.Event, more bool, after int64) api.EventPage[task.Event] {
	if n := len(events); n > 0 {
		after = events[n-1].Seq
	} else {
		events = []task.Event{}
	}
	return api.EventPage[task.Event]{Data: events, NextCursor: strconv.FormatInt(after, 10), HasMore: more, State: string(run.State)}
}

// number reads a checked parameter.
func number(s string, unset int64) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return unset
	}
	return n
}
