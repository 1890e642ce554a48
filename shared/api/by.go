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
		Actor: cmp.Or(r.Caller.KeyID, Operator), Target: target, RequestID: r.ID, Address: r.Address}}
}

// Operator is the actor of changes on the operator's routes.
const Operator = "operator"
