package tenant

import (
	"errors"
	"fmt"

	"outpost/shared/plan"
)

// Change is what an operator wants otherwise; nil leaves a thing as it is.
type Change struct {
	Name, Email *string
	Plan        *string
	PlanSource  *PlanSource // by itself it hands the plan over; a plan alone is the operator's
	Limits      OverridesChange
	State       *State // active or suspended; Closed only by Close
}

// ErrClosed means that a tenant was closed, which is for ever.
var ErrClosed = errors.New("the tenant is closed")

// Apply returns the tenant after a change. Its version grows with anything else
// that does, so that no copy of the old limits is obeyed; a change that changes
// nothing leaves it as it is.
func (t Tenant) Apply(c Change) (Tenant, error) {
	was := t
	if t.Entitlement.State == Closed {
		return t, ErrClosed
	}
	if c.Name != nil {
		t.Name = *c.Name
	}
	if c.Email != nil {
		t.Email = *c.Email
	}
	if c.Plan != nil {
		t.Entitlement.Plan, t.PlanSource = *c.Plan, ByOperator
	}
	if c.PlanSource != nil {
		t.PlanSource = *c.PlanSource
	}
	t.Entitlement.Overrides = c.Limits.apply(t.Entitlement.Overrides)
	if c.State != nil {
		t.Entitlement.State = *c.State
	}
	if _, ok := plan.Lookup(t.Entitlement.Plan); !ok {
		return t, fmt.Errorf("unknown plan %q", t.Entitlement.Plan)
	}
	if t != was {
		t.Entitlement.Version++
	}
	return t, nil
}
