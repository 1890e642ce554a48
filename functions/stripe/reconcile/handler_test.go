package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/billing"
	"outpost/shared/entitlement"
	"outpost/shared/metric"
	"outpost/shared/stripe"
	"outpost/shared/tenant"
)

func on(w *entitlementtest.World) (reconciler, *bytes.Buffer) {
	var out bytes.Buffer
	return reconciler{w.Table, w.Stripe, w.Keeper, metric.New("test", &out), w.Clock}, &out
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

// Whose newest event is still listed after it has acted is compared like all
// others: the grace ends by the clock, and there is no event of that.
func TestATenantWhoseEventStaysListedIsComparedStill(t *testing.T) {
	w := entitlementtest.New(t)
	w.Fake.FailWebhooks(standin.WebhookFaults{Drop: 1})
	customer := w.Pays("pro")
	r, _ := on(w)
	w.Must(w.Fake.SetCard(customer, standin.FailingCard))
	w.Advance(31*24*time.Hour + time.Hour)
	w.Must(r.handle(t.Context()))
	w.Advance(5 * 24 * time.Hour)
	w.Must(w.Fake.SetCard(customer, standin.FailingCard)) // an event, within the grace
	for _, step := range []struct {
		after time.Duration
		plan  string
	}{{0, "pro"}, {time.Hour, "pro"}, {2 * 24 * time.Hour, "free"}} {
		w.Clock.Advance(step.after)
		told, err := r.events.Undelivered(t.Context(), w.Clock.Now().Add(-listed))
		if w.Must(err); len(told) == 0 {
			t.Error("nothing is listed")
		}
		if w.Must(r.handle(t.Context())); w.Plan() != step.plan {
			t.Errorf("after %s: %s, want %s", step.after, w.Plan(), step.plan)
		}
	}
}

// What is wrong with tenants says nothing of Stripe, however many they are.
func TestTenantsWithoutADecisionEndNoRound(t *testing.T) {
	w := entitlementtest.New(t)
	var good, bad []entitlementtest.World
	for range 4 * enough {
		w.Another("free")
		w.Pays("enterprise")
		bad = append(bad, *w)
	}
	for range 4 * enough {
		w.Another("free")
		w.Pays("pro")
		good = append(good, *w)
	}
	pro, _ := w.Keeper.Prices.Of("pro")
	w.Keeper.Prices = billing.Prices{{ID: pro, Plan: "pro"}} // the other price was replaced
	r, _ := on(w)
	if err := r.handle(t.Context()); err == nil || !errors.Is(err, entitlement.ErrUndecided) || strings.Contains(err.Error(), "were not looked at") {
		t.Errorf("%v", err)
	}
	for i := range good {
		if plan := good[i].Plan(); plan != "pro" {
			t.Errorf("tenant %d: %s", i, plan)
		}
		if plan := bad[i].Plan(); plan != "free" {
			t.Errorf("a plan was guessed: %s", plan)
		}
	}
}

// The list of events only says who comes first.
func TestWithoutTheListOfEventsAllAreCompared(t *testing.T) {
	w := entitlementtest.New(t)
	w.Pays("pro")
	w.Fake.Fail(standin.Fault{Path: "/v1/events", Times: -1, Status: 500})
	r, _ := on(w)
	if err := r.handle(t.Context()); err == nil || w.Plan() != "pro" {
		t.Errorf("%v, %s", err, w.Plan())
	}
}

// The first event that no webhook brings is told of, however few tenants pay, and
// what only another's endpoint has not taken is not.
func TestEventsOfWhichNoWebhookComesAreCounted(t *testing.T) {
	operator := tenant.ByOperator
	for why, c := range map[string]struct {
		act      bool // what is listed has acted: only another endpoint fails
		operates bool // the plan is the operator's again
		ended    bool // and no subscription is left
		unheard  []bool
	}{
		"every webhook is lost":                {unheard: []bool{false, true, true, true}},
		"another's endpoint fails":             {act: true, unheard: []bool{false, false, false, false}},
		"the operator gives a plan now":        {operates: true, ended: true, unheard: []bool{false, false, false, false}},
		"one is charged beside the operator's": {operates: true, unheard: []bool{false, true, true, true}},
	} {
		t.Run(why, func(t *testing.T) {
			w := entitlementtest.New(t)
			w.Fake.FailWebhooks(standin.WebhookFaults{Drop: 1})
			customer := w.Pays("pro")
			r, out := on(w)
			if c.ended {
				w.EndAll(customer)
			}
			if c.operates {
				w.Change(tenant.Change{PlanSource: &operator})
			}
			if c.act {
				events, err := w.Stripe.Undelivered(t.Context(), w.Clock.Now().Add(-listed))
				w.Must(err)
				for _, e := range events {
					w.Sync(e.ID)
				}
			}
			for hour, want := range c.unheard {
				out.Reset()
				w.Clock.Advance(time.Second)
				w.Must(r.handle(t.Context()))
				if got := strings.Contains(out.String(), string(metric.EventsUnheard)); got != want {
					t.Errorf("hour %d: %t, want %t: %s", hour, got, want, out)
				}
				w.Advance(time.Hour + time.Minute)
			}
		})
	}
}
