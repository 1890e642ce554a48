package api

import (
	"cmp"
	"fmt"

	"outpost/shared/billing"
	"outpost/shared/tenant"
)

// Billing is how a tenant's plan is paid for, as the tenant sees it.
type Billing struct {
	Plan       string      `json:"plan"`
	Source     string      `json:"plan_source"`
	Status     *string     `json:"status"` // Stripe's, of the subscription that decides
	Sentence   string      `json:"sentence"`
	PeriodEnd  *string     `json:"period_end"`
	GraceUntil *string     `json:"grace_until"`
	Change     *PlanChange `json:"change"`
	CheckedAt  *string     `json:"checked_at"` // when the latest look at Stripe began
}

// PlanChange is what a subscription is set to become.
type PlanChange struct {
	Plan string `json:"plan"`
	At   string `json:"at"`
	When string `json:"when"` // period_end or paid
}

// ViewBilling shows how a tenant stands.
func ViewBilling(t tenant.Tenant, b tenant.Billing) Billing {
	s := b.Standing
	v := Billing{Plan: t.Entitlement.Plan, Source: string(cmp.Or(t.PlanSource, tenant.ByOperator)), Status: orNull(string(s.Status)), Sentence: s.Sentence,
		PeriodEnd: timeOrNull(s.PeriodEnd), GraceUntil: timeOrNull(s.GraceUntil), CheckedAt: timeOrNull(b.FetchedAt)}
	if s.Next != "" {
		v.Change = &PlanChange{Plan: s.Next, At: stamp(s.NextAt), When: "period_end"}
		if s.NextUnpaid {
			v.Change.When = "paid"
		}
	}
	switch {
	case t.PlanSource != tenant.ByStripe && billing.Cost(v.Plan) > 0:
		v.Sentence = fmt.Sprintf("Who runs this Outpost has given the %s plan.", v.Plan)
	case t.PlanSource != tenant.ByStripe:
		v.Sentence = fmt.Sprintf("The %s plan: a Checkout begins one that is paid for.", v.Plan)
	case b.FetchedAt.IsZero():
		v.Sentence = fmt.Sprintf("The %s plan, until a Checkout is paid.", v.Plan)
	}
	if t.PlanSource != tenant.ByStripe && s.Living() {
		v.Sentence += " A subscription is charged beside it: the billing portal ends it."
	}
	return v
}
