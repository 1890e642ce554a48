package tenant

import "time"

// KeptClosed is how long the data of a closed tenant are kept.
const KeptClosed = 30 * 24 * time.Hour

// settling is how long after its last run's end nothing of a closed tenant is
// removed. Until then a worker that nobody waits for may still report: its token
// and its upload URLs are good for an hour or two.
const settling = 24 * time.Hour

// Close returns the tenant closed at a time, for ever. One that is closed stays
// as it is.
func (t Tenant) Close(at time.Time) Tenant {
	if t.Entitlement.State == Closed {
		return t
	}
	t.Entitlement.State, t.ClosedAt = Closed, at
	t.Entitlement.Version++
	return t
}

// RemovalAt is from when on the data of a closed tenant are removed; zero for one
// that is not closed.
func (t Tenant) RemovalAt() time.Time {
	if t.ClosedAt.IsZero() {
		return time.Time{}
	}
	return t.ClosedAt.Add(KeptClosed)
}

// DueAt is from when on there is something to do for a closed tenant: at once until
// its runs have ended, then the removal of its data. It is zero for one that is not
// closed, and once its data are removed.
func (t Tenant) DueAt() time.Time {
	switch {
	case t.Entitlement.State != Closed || !t.RemovedAt.IsZero():
		return time.Time{}
	case t.QuietAt.IsZero():
		return t.ClosedAt
	}
	if last := t.QuietAt.Add(settling); last.After(t.RemovalAt()) {
		return last
	}
	return t.RemovalAt()
}

// Quiet returns a closed tenant as one that has no run alive, for ever.
func (t Tenant) Quiet(at time.Time) Tenant {
	if t.QuietAt.IsZero() {
		t.QuietAt = at
		t.Entitlement.Version++
	}
	return t
}

// BeginRemoval returns a closed tenant as one whose data are being removed: Stripe
// has no say about it any more, and who read it before writes nothing for it.
func (t Tenant) BeginRemoval(at time.Time) Tenant {
	if t.RemovingAt.IsZero() {
		t.RemovingAt, t.PlanSource = at, ByOperator
		t.Entitlement.Version++
	}
	return t
}

// Removed returns what is kept of a tenant whose data are removed: its id, the name
// of its plan, and its times.
func (t Tenant) Removed(at time.Time) Tenant {
	e := Entitlement{Plan: t.Entitlement.Plan, State: Closed, Version: t.Entitlement.Version + 1}
	return Tenant{ID: t.ID, Entitlement: e, PlanSource: ByOperator, CreatedAt: t.CreatedAt, ClosedAt: t.ClosedAt,
		QuietAt: t.QuietAt, RemovingAt: t.RemovingAt, RemovedAt: at}
}
