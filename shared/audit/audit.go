// Package audit says what an audit event is: who did what to which thing, and
// from where, and how a tenant's events are exported so that nobody can change
// them unnoticed. An event never holds a secret.
//
// The export is one file of JSON lines, gzipped, for each UTC day on which a
// tenant has events, and a manifest beside it that names the file's SHA-256 and
// the manifest before: a hash chain for each tenant. Export and manifest have
// one encoding each, so that the same events give the same bytes. Verify needs
// nothing but those files and the head of the chain, which the table keeps.
package audit

import (
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// Event is one row of a tenant's audit trail. Its JSON is what the API and the
// export show.
type Event struct {
	ID        string    `json:"id"` // aud_<ulid>
	At        time.Time `json:"at"`
	Action    string    `json:"action"`               // noun.verb, as task.create
	Actor     string    `json:"actor"`                // key id, or the part of Outpost that acted: settle, scheduler …
	Target    string    `json:"target"`               // id of the thing
	RequestID string    `json:"request_id,omitempty"` // of the request that caused it
	Address   string    `json:"address,omitempty"`    // of the caller; empty for Outpost itself
	Detail    string    `json:"detail,omitempty"`
	Changes   []Change  `json:"changes,omitempty"` // by field
	Count     int       `json:"count" dynamo:"-"`  // how often, of refusals that are kept as one event; else 1
}

// Change is one field of the target before and after. Empty means that it was
// not there, or is not there any more.
type Change struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// The most that an event holds, so that a row stays small.
const (
	maxChanges = 20
	maxValue   = 200 // bytes of a value, and of a target
	maxDetail  = 500 // bytes
)

// Diff lists the fields whose values differ, by name.
func Diff(before, after map[string]string) []Change {
	fields := maps.Clone(before)
	if fields == nil {
		fields = map[string]string{}
	}
	maps.Copy(fields, after)
	var changes []Change
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		if before[f] != after[f] {
			changes = append(changes, Change{f, before[f], after[f]})
		}
	}
	return changes
}

// Bounded returns the event cut to the most that a row holds; each cut text ends
// in an ellipsis.
func (e Event) Bounded() Event {
	e.Target, e.Detail = cut(e.Target, maxValue), cut(e.Detail, maxDetail)
	if e.Changes == nil {
		return e
	}
	e.Changes = slices.Clone(e.Changes[:min(len(e.Changes), maxChanges)])
	for i, c := range e.Changes {
		e.Changes[i] = Change{cut(c.Field, maxValue), cut(c.Before, maxValue), cut(c.After, maxValue)}
	}
	return e
}

func cut(s string, most int) string {
	const ellipsis = "…"
	if len(s) <= most {
		return s
	}
	n := most - len(ellipsis)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}
