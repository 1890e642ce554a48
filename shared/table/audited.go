package table

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/audit"
	"outpost/shared/id"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// auditLife is how long an event stays in the table, from when it happened. The
// export has it for ever from its second day on.
const auditLife = 90 * 24 * time.Hour

const auditPrefix = "AUDIT#"

// newAuditRow gives an event the key by which a tenant's events are read in the
// order of their time, and the one by which those of one action are.
func newAuditRow(tenantID string, e audit.Event) auditRow {
	e = e.Bounded()
	u := ulidOf(e.ID)
	return auditRow{key: key{tenantPK(tenantID), auditPrefix + u}, GSI1PK: actionPK(tenantID, e.Action), GSI1SK: u,
		Event: e, TTL: e.At.Add(auditLife).Unix()}
}

func actionPK(tenantID, action string) string { return tenantPK(tenantID) + "#AUDIT#" + action }

func (r auditRow) event() audit.Event {
	e := r.Event
	e.At, e.Count = e.At.UTC(), max(1, r.Count)
	return e
}

// AuditRange is a part of a tenant's audit trail.
type AuditRange struct {
	Action       string    // of this action alone; empty: of all
	After        string    // id of the event that the part begins behind; empty: the newest
	Since, Until time.Time // happened at Since or later, before Until; zero: without end
}

// AuditEvents returns up to limit events of a range, newest first. It reads no
// event outside of the range, whose times count by the millisecond. next is
// empty at the end, else what to pass as After.
func (t *Table) AuditEvents(ctx context.Context, tenantID string, r AuditRange, limit int) (events []audit.Event, next string, err error) {
	from, last, err := ulidRange(id.Audit, r.After, r.Since, r.Until)
	if err != nil || from > last {
		return nil, "", err
	}
	var q *dynamo.Query
	if r.Action == "" {
		q = t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.Between, auditPrefix+from, auditPrefix+last).Consistent(true)
	} else {
		q = t.items.Get("GSI1PK", actionPK(tenantID, r.Action)).Index("GSI1").Range("GSI1SK", dynamo.Between, from, last)
	}
	var rows []auditRow
	cut, err := q.Order(dynamo.Descending).SearchLimit(limit+1).AllWithLastEvaluatedKey(ctx, &rows)
	if err != nil {
		return nil, "", read(err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].Event.ID
	} else if cut != nil && len(rows) > 0 { // a page ends at 1 MB, before the limit
		next = rows[len(rows)-1].Event.ID
	}
	for _, row := range rows {
		events = append(events, row.event())
	}
	return events, next, nil
}

// Note writes that something was done which changed nothing. It returns
// ErrKeyRevoked.
func (t *Table) Note(ctx context.Context, tenantID string, by By) error {
	return t.again(ctx, func() error { return settled(t.commit(ctx, tenantID, by, func(*dynamo.WriteTx) {})) })
}

// moved is the event of a part of Outpost that changed a run.
func (t *Table) moved(tenantID, actor, action string, was, run task.Run, detail string) auditRow {
	return t.acted(tenantID, actor, action, run.ID, detail, audit.Diff(runFacts(was), runFacts(run))...)
}

// acted is an event of Outpost itself.
func (t *Table) acted(tenantID, actor, action, target, detail string, changes ...audit.Change) auditRow {
	now := t.clock.Now()
	return newAuditRow(tenantID, audit.Event{ID: id.New(id.Audit, now), At: now, Action: action, Actor: actor, Target: target, Detail: detail, Changes: changes})
}

// Intend keeps in a tenant's trail what a caller is about to have done elsewhere,
// and makes sure that its key is good at this very moment. It returns
// ErrKeyRevoked, or ErrConflict: then nothing is to be done.
func (t *Table) Intend(ctx context.Context, tenantID string, by By) error {
	return t.again(ctx, func() error { return t.commit(ctx, tenantID, by, func(*dynamo.WriteTx) {}) })
}

// changing returns by with what a change made of a thing, by its facts.
func (by By) changing(before, after map[string]string) By {
	by.Audit.Changes = audit.Diff(before, after)
	return by
}

// The facts of things are what the audit trail shows of a change of them: never
// a secret, nor anything that it could be found from.

func runFacts(r task.Run) map[string]string {
	return map[string]string{"state": string(r.State), "attempt": number(r.Attempt.Number), "infra_retries": number(r.InfraRetries)}
}

func tenantFacts(t tenant.Tenant) map[string]string {
	e := t.Entitlement
	return map[string]string{
		"name": t.Name, "email": t.Email, "plan": e.Plan, "plan_source": string(t.PlanSource), "state": string(e.State),
		"limits.runs_per_day": number(e.Overrides.RunsPerDay), "limits.concurrent_runs": number(e.Overrides.ConcurrentRuns),
		"limits.agents": string(e.Overrides.Agents), "limits.max_timeout_seconds": number(e.Overrides.MaxTimeoutSeconds),
		"limits.weight": number(e.Overrides.Weight), "limits.requests_per_minute": number(e.Overrides.RequestsPerMinute),
	}
}

func keyFacts(k Key) map[string]string {
	facts := map[string]string{"name": k.Name, "state": k.State, "scopes": strings.Join(k.Scopes, " ")}
	if !k.ExpiresAt.IsZero() {
		facts["expires_at"] = k.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return facts
}

func secretFacts(s Sealed) map[string]string {
	return map[string]string{"version": number(s.Version), "host": s.Host}
}

// number writes a count; none for zero, which stands for "as the plan says" or
// for "not yet".
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
