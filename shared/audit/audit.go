// Package audit says what an audit event is: who did what to which thing, and
// from where. It never holds a secret.
package audit

import "time"

// Event is one row of a tenant's audit trail.
type Event struct {
	ID        string // aud_<ulid>
	At        time.Time
	Action    string // noun.verb, as task.create
	Actor     string // key id, or the part of Outpost that acted: settle, scheduler …
	Target    string // id of the thing
	RequestID string
	Address   string // of the caller; empty for Outpost itself
	Detail    string
	Count     int `dynamo:"-"` // how often, of refusals that are kept as one event; else 1
}
