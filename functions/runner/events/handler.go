package main

import (
	"context"
	"fmt"

	"outpost/shared/api"
	"outpost/shared/problem"
	"outpost/shared/runner"
	"outpost/shared/task"
)

type store interface {
	PutEvents(ctx context.Context, tenantID, runID string, attempt int, events []task.Event) error
}

type handler struct{ store store }

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	var in runner.EventsRequest
	if err := r.Decode(&in); err != nil {
		return api.Response{}, err
	}
	if wrong := check(in.Events, r.Worker.Attempt); len(wrong) > 0 {
		return api.Response{}, api.Invalid(wrong...)
	}
	if err := h.store.PutEvents(ctx, r.Worker.Tenant, r.Worker.Run, r.Worker.Attempt, in.Events); err != nil {
		return api.Response{}, api.AttemptRefusal(err)
	}
	return api.OK(runner.Empty{}), nil
}

// check holds what the contract cannot say: the order, whose events they are,
// and sizes in bytes.
func check(events []task.Event, attempt int) (wrong []problem.Field) {
	size := 0
	for i, e := range events {
		field := fmt.Sprintf("/events/%d", i)
		size += len(e.Text)
		switch {
		case task.EventAttempt(e.Seq) != attempt || e.Seq > task.EventSeq(attempt, task.MaxRunEvents):
			wrong = append(wrong, problem.Field{Field: field + "/seq", Message: "must be one of this attempt's numbers"})
		case i > 0 && e.Seq != events[i-1].Seq+1:
			wrong = append(wrong, problem.Field{Field: field + "/seq", Message: "must follow the one before"})
		case len(e.Text) > task.MaxEventText:
			wrong = append(wrong, problem.Field{Field: field + "/text", Message: fmt.Sprintf("must have at most %d bytes", task.MaxEventText)})
		}
	}
	if size > task.MaxEventBytes {
		wrong = append(wrong, problem.Field{Field: "/events", Message: fmt.Sprintf("must have at most %d bytes of text", task.MaxEventBytes)})
	}
	return wrong
}
