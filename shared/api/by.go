package api

import (
	"cmp"
	"time"

	"outpost/shared/audit"
	"outpost/shared/id"
	"outpost/shared/table"
)

// By is who makes the change that a request asks for: its caller's key is
// checked once more by the change itself, and the audit trail tells of it.
func (r *Request) By(at time.Time, action, target string) table.By {
	return table.By{KeyHash: r.Caller.KeyHash, Audit: audit.Event{ID: id.New(id.Audit, at), At: at, Action: action,
		Actor: r.actor(), Target: target, RequestID: r.ID, Address: r.Address}}
}

func (r *Request) actor() string {
	if r.Worker.Run != "" {
		return Worker
	}
	return cmp.Or(r.Caller.KeyID, Operator)
}

// Worker is the actor of changes on the workers' routes; the target is its run.
const Worker = "worker"

// Operator is the actor of changes on the operator's routes.
const Operator = "operator"
