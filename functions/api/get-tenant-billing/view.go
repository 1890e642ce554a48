package main

import (
	"cmp"
	"fmt"
	"time"

	"outpost/shared/billing"
	"outpost/shared/tenant"
)

// page is a tenant's billing from both sides.
type page struct {
	Tenant      string       `json:"tenant"`
	Plan        string       `json:"plan"`
	Source      string       `json:"plan_source"`
	State       string       `json:"state"`
	Recorded    recorded     `json:"recorded"`
	Stripe      *ofStripe    `json:"stripe"` // nil: it cannot be asked
	Differences []difference `json:"differences"`
	Note        *string      `json:"note"`
}

func (v *page) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	v.Note = &text
}

// standing is a billing.Standing; null is what it does not say.
type standing struct {
	Plan         *string `json:"plan"`
	Subscription *string `json:"subscription"`
	Status       *string `json:"status"`
	PeriodEnd    *string `json:"period_end"`
	GraceUntil   *string `json:"grace_until"`
	Sentence     *string `json:"standing"`
}

// recorded is what the latest look gave.
type recorded struct {
	Customer *string `json:"customer"`
	standing
	LookedAt *string `json:"looked_at"`
}

// ofStripe is what Stripe has now.
type ofStripe struct {
	Customer *string `json:"customer"`
	Deleted  bool    `json:"deleted"`
	standing
	Subscriptions []subscription `json:"subscriptions"`
}

// forget takes back the standing, which the settings do not explain.
func (s *ofStripe) forget() { s.standing = standing{} }

type subscription struct {
	ID          string  `json:"id"`
	Status      string  `json:"status"`
	Price       string  `json:"price"`
	Plan        *string `json:"plan"`
	CreatedAt   string  `json:"created_at"`
	PeriodEnd   string  `json:"period_end"`
	CancelAt    *string `json:"cancel_at"`
	UnpaidSince *string `json:"unpaid_since"`
}

type difference struct {
	Field    string `json:"field"`
	Recorded string `json:"recorded"`
	Stripe   string `json:"stripe"`
}

func view(tn tenant.Tenant, b tenant.Billing) page {
	return page{Tenant: tn.ID, Plan: tn.Entitlement.Plan, Source: string(cmp.Or(tn.PlanSource, tenant.ByOperator)), State: string(tn.Entitlement.State),
		Recorded: recorded{Customer: orNull(b.Customer), standing: viewStanding(b.Standing), LookedAt: timeOrNull(b.FetchedAt)}, Differences: []difference{}}
}

func viewStanding(s billing.Standing) standing {
	return standing{orNull(s.Plan), orNull(s.Subscription), orNull(string(s.Status)), timeOrNull(s.PeriodEnd), timeOrNull(s.GraceUntil), orNull(s.Sentence)}
}

func viewAccount(customer string, a billing.Account, s billing.Standing, prices billing.Prices) *ofStripe {
	v := &ofStripe{Customer: orNull(customer), Deleted: a.Deleted, standing: viewStanding(s), Subscriptions: []subscription{}}
	for _, sub := range a.Subscriptions {
		v.Subscriptions = append(v.Subscriptions, subscription{ID: sub.ID, Status: string(sub.Status), Price: sub.Price, Plan: orNull(prices.Plan(sub.Price)), CreatedAt: stamp(sub.Created),
			PeriodEnd: stamp(sub.PeriodEnd), CancelAt: timeOrNull(sub.CancelAt), UnpaidSince: timeOrNull(sub.UnpaidSince)})
	}
	return v
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func timeOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := stamp(t)
	return &text
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
