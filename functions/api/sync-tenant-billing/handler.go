package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"outpost/shared/api"
	"outpost/shared/audit"
	"outpost/shared/billing"
	"outpost/shared/entitlement"
	"outpost/shared/problem"
	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type store interface {
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
	Billing(ctx context.Context, tenantID string) (tenant.Billing, error)
}

type keeper interface {
	Sync(ctx context.Context, tenantID string, cause entitlement.Cause) (changed bool, err error)
}

type handler struct {
	store  store
	keeper keeper // nil where there is no billing
}

// patience bounds a sync, so that an answer goes out whatever Stripe does.
const patience = 22 * time.Second

type answer struct {
	Tenant   string         `json:"tenant"`
	Plan     string         `json:"plan"`
	Source   string         `json:"plan_source"`
	Standing *string        `json:"standing"`
	Changed  bool           `json:"changed"`
	Changes  []audit.Change `json:"changes"`
	Note     *string        `json:"note"`
}

// handle looks at the tenant's customer as a webhook's consumer does, and tells
// what is otherwise than before; what others changed meanwhile is among it.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	before, _, err := h.facts(ctx, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	if h.keeper == nil {
		return api.Response{}, problem.New(problem.BillingUnavailable, "This Outpost has no billing.")
	}
	if err := h.sync(ctx, r); err != nil {
		return api.Response{}, refusal(err)
	}
	after, out, err := h.facts(ctx, r.Path)
	if err != nil {
		return api.Response{}, err
	}
	out.Changes = append(out.Changes, audit.Diff(before, after)...)
	out.Changed = len(out.Changes) > 0
	return api.OK(out), nil
}

func (h handler) sync(ctx context.Context, r *api.Request) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := h.keeper.Sync(ctx, r.Path, entitlement.Cause{Actor: api.Operator, Detail: "the operator asked for it, " + r.ID})
	return err
}

// facts are how a tenant stands, by name, and as the answer shows it.
func (h handler) facts(ctx context.Context, tenantID string) (map[string]string, answer, error) {
	tn, err := h.store.Tenant(ctx, tenantID)
	if err != nil {
		return nil, answer{}, err
	}
	b, err := h.store.Billing(ctx, tenantID)
	if err != nil {
		return nil, answer{}, err
	}
	facts := b.Standing.Facts()
	facts["plan"], facts["customer"] = tn.Entitlement.Plan, b.Customer
	out := answer{Tenant: tn.ID, Plan: tn.Entitlement.Plan, Source: string(cmp.Or(tn.PlanSource, tenant.ByOperator)), Changes: []audit.Change{}}
	if b.Standing.Sentence != "" {
		out.Standing = &b.Standing.Sentence
	}
	if tn.PlanSource != tenant.ByStripe {
		note := "The operator decides about this tenant's plan, so it stays as it is: hand it over with plan_source stripe."
		out.Note = &note
	}
	return facts, out, nil
}

// asked tells Stripe's errors from others.
type asked struct{ stripe *stripe.Connection }

// failure is an error of Stripe's.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func failed(err error) error {
	if err == nil {
		return nil
	}
	return failure{err}
}

func (a asked) Account(ctx context.Context, customer string) (billing.Account, error) {
	return a.ask(ctx, customer, a.stripe.Account)
}

func (a asked) Quit(ctx context.Context, customer string) (billing.Account, error) {
	return a.ask(ctx, customer, a.stripe.Quit)
}

func (a asked) ClosePages(ctx context.Context, customer string) error {
	if err := a.stripe.Ready(ctx); err != nil {
		return failed(err)
	}
	return failed(a.stripe.ClosePages(ctx, customer))
}

func (a asked) ask(ctx context.Context, customer string, what func(context.Context, string) (billing.Account, error)) (billing.Account, error) {
	if err := a.stripe.Ready(ctx); err != nil {
		return billing.Account{}, failed(err)
	}
	account, err := what(ctx, customer)
	return account, failed(err)
}

// refusal says what of an error the operator can do something about.
func refusal(err error) error {
	var ofStripe failure
	var unknown billing.Unknown
	switch {
	case errors.Is(err, table.ErrStale):
		p := problem.New(problem.Busy, "Others look at this tenant's customer at once; try again.").Because(err)
		p.RetryAfter = time.Second
		return p
	case errors.As(err, &unknown):
		return problem.New(problem.BillingMismatch, fmt.Sprintf("%s.", unknown)).Because(err)
	case !errors.As(err, &ofStripe):
		return err
	case errors.Is(err, stripe.ErrDown) || stripe.Down(ofStripe.error):
		p := problem.New(problem.BillingUnavailable, stripe.Reason(ofStripe.error)).Because(err)
		p.RetryAfter = 5 * time.Second
		return p
	}
	return problem.New(problem.BillingMismatch, stripe.Reason(ofStripe.error)).Because(err)
}
