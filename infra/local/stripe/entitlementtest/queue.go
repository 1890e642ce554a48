package entitlementtest

import (
	"context"

	"outpost/shared/stripe"
)

// Queue keeps what is put into the queue of events. The real one takes it in the
// tests of the whole stack.
type Queue struct {
	Events []stripe.Event
	Err    error // while the queue is away
}

// Send is eventqueue.Sender's.
func (q *Queue) Send(_ context.Context, e stripe.Event) error {
	if q.Err == nil {
		q.Events = append(q.Events, e)
	}
	return q.Err
}
