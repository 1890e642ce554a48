package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/guarantee"
	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/entitlement"
	"outpost/shared/metric"
	"outpost/shared/stripe"
)

func on(w *entitlementtest.World) (reconciler, *bytes.Buffer) {
	var out bytes.Buffer
	return reconciler{w.Table, w.Stripe, w.Keeper, metric.New("test", &out), w.Clock}, &out
}

// TestGuaranteeOneRoundMakesUpForAllLostWebhooks has many tenants subscribe, cancel,
// fail to pay and be deleted at Stripe, and delivers no webhook of all that. After
// one round of the reconciler every tenant's plan is the one that Stripe's objects
// give, on its key too; a second round finds no difference.
func TestGuaranteeOneRoundMakesUpForAllLostWebhooks(t *testing.T) {
	g := guarantee.For(t, "billing-2", "After one round of the reconciler no plan differs from Stripe, though every webhook was lost.")
	w := entitlementtest.New(t)
	w.Fake.FailWebhooks(standin.WebhookFaults{Drop: 1})
	r, out := on(w)
	type subject struct {
		tenant, customer, want string
	}
	var subjects []subject
	many := g.Pick(500, 20)
	worlds := make([]entitlementtest.World, 0, many)
	for i := range many {
		w.Another("free")
		plan := []string{"pro", "enterprise"}[i%2]
		customer := w.Pays(plan)
		switch i % 5 {
		case 1:
			w.EndAll(customer)
			plan = "free"
		case 2:
			w.Deletes(customer)
			plan = "free"
		case 3:
			w.Must(w.Fake.SetCard(customer, standin.FailingCard))
			plan = "free" // the month and the grace are over below
		}
		subjects = append(subjects, subject{w.Tenant, customer, plan})
		worlds = append(worlds, *w)
	}
	w.Advance(31*24*time.Hour + time.Hour) // the next invoices are due
	w.Advance(7*24*time.Hour + time.Hour)
	differ := func() (n int) {
		for i, s := range subjects {
			if got := worlds[i].Plan(); got != s.want {
				n++
			}
		}
		return n
	}
	before := differ()
	calls := w.Fake.Calls()
	w.Must(r.handle(t.Context()))
	calls = w.Fake.Calls() - calls
	after := differ()
	if before == 0 || after != 0 {
		t.Errorf("%d plans differed before, %d after", before, after)
	}
	if !strings.Contains(out.String(), fmt.Sprintf(`"PlansHealed":%d`, before)) {
		t.Errorf("counted: %s", out)
	}
	out.Reset()
	w.Clock.Advance(time.Hour)
	if w.Must(r.handle(t.Context())); out.Len() != 0 {
		t.Errorf("the second round changed something: %s", out)
	}
	g.Figure("tenants", many)
	g.Figure("plans that differed before, and after", fmt.Sprintf("%d, %d", before, after))
	g.Figure("requests to Stripe in the round", calls)
}

func TestStripeDownEndsTheRoundSoonAndTheNextGoesOn(t *testing.T) {
	w := entitlementtest.New(t)
	var worlds []entitlementtest.World
	for range 30 {
		w.Another("free")
		w.Pays("pro")
		worlds = append(worlds, *w)
	}
	r, _ := on(w)
	r.events = none{}
	w.Fake.Fail(standin.Fault{Times: -1, Status: 500})
	calls := w.Fake.Calls()
	if err := r.handle(t.Context()); err == nil || !strings.Contains(err.Error(), "were not looked at") {
		t.Errorf("%v", err)
	}
	if n := w.Fake.Calls() - calls; n > enough+2*atOnce {
		t.Errorf("%d calls of a Stripe that is down", n)
	}
	r.events = w.Stripe
	if err := r.handle(t.Context()); err == nil {
		t.Error("a round that could not begin is no failure")
	}
	w.Fake.Heal()
	w.Must(r.handle(t.Context()))
	for i := range worlds {
		if plan := worlds[i].Plan(); plan != "pro" {
			t.Errorf("tenant %d: %s", i, plan)
		}
	}
}

type none struct{}

func (none) Undelivered(context.Context, time.Time) ([]stripe.Event, error) { return nil, nil }

// picky fails for one tenant.
type picky struct {
	keeper
	bad string
}

func (p picky) Sync(ctx context.Context, tenantID string, cause entitlement.Cause) (bool, error) {
	if tenantID == p.bad {
		return false, errors.New("its price is of another shop")
	}
	return p.keeper.Sync(ctx, tenantID, cause)
}

func TestOneTenantThatFailsStopsNoOther(t *testing.T) {
	w := entitlementtest.New(t)
	w.Pays("pro")
	bad := w.Tenant
	var worlds []entitlementtest.World
	for range 10 {
		w.Another("free")
		w.Pays("enterprise")
		worlds = append(worlds, *w)
	}
	r, _ := on(w)
	r.keeper = picky{r.keeper, bad}
	if err := r.handle(t.Context()); err == nil || !strings.Contains(err.Error(), "another shop") {
		t.Errorf("%v", err)
	}
	for i := range worlds {
		if plan := worlds[i].Plan(); plan != "enterprise" {
			t.Errorf("tenant %d: %s", i, plan)
		}
	}
}

// An event that could not be delivered acts by the round, and never again.
func TestAnUndeliveredEventActsOnce(t *testing.T) {
	w := entitlementtest.New(t)
	w.Fake.FailWebhooks(standin.WebhookFaults{Drop: 1})
	w.Pays("pro")
	r, _ := on(w)
	w.Must(r.handle(t.Context()))
	events := w.Events()
	if len(events) != 1 || !strings.Contains(events[0].Detail, "was not delivered") {
		t.Fatalf("%+v", events)
	}
	id := events[0].Detail[strings.Index(events[0].Detail, "evt_"):]
	id = id[:strings.IndexByte(id, ',')]
	if acted, err := w.EventActed(t.Context(), id); err != nil || !acted {
		t.Errorf("%s has not acted: %v", id, err)
	}
}
