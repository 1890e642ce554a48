package tenant

import (
	"errors"
	"time"

	"outpost/shared/billing"
)

// Billing is how a tenant stands with Stripe, as of the latest look.
type Billing struct {
	Customer  string // Stripe's id; empty before the first Checkout and once it was deleted there
	Deleted   int    // how many customers of the tenant were deleted at Stripe
	Standing  billing.Standing
	FetchedAt time.Time // when the latest look began; zero before the first
}

// Errors of who would pay for a plan.
var (
	ErrNotActive     = errors.New("the tenant is not active")
	ErrOperatorsPlan = errors.New("the operator has given the tenant a plan that others pay for")
	ErrSubscribed    = errors.New("the tenant pays for a subscription that would decide nothing")
)

// Subscribe returns the tenant as one whose plan Stripe decides about. It returns
// ErrNotActive, and ErrOperatorsPlan for a tenant that would lose what the operator
// has given it: the operator hands such a plan over.
func (t Tenant) Subscribe() (Tenant, error) {
	switch {
	case t.Entitlement.State != Active:
		return t, ErrNotActive
	case t.PlanSource == ByStripe:
		return t, nil
	case billing.Cost(t.Entitlement.Plan) > 0:
		return t, ErrOperatorsPlan
	}
	source := ByStripe
	return t.Apply(Change{PlanSource: &source})
}

// TakeOver is nil if the operator may take over the plan that Stripe decides about,
// and ErrSubscribed while a subscription lives: nobody would end it.
func (b Billing) TakeOver() error {
	if b.Standing.Living() {
		return ErrSubscribed
	}
	return nil
}

// Entitled returns the tenant with the plan that a standing at Stripe gives. One
// that has it already, is closed, or has its plan of the operator stays as it is.
func (t Tenant) Entitled(s billing.Standing) (Tenant, error) {
	if t.Entitlement.State == Closed || t.PlanSource != ByStripe || t.Entitlement.Plan == s.Plan {
		return t, nil
	}
	source := ByStripe
	return t.Apply(Change{Plan: &s.Plan, PlanSource: &source})
}
