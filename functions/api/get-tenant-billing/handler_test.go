package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/api/apitest"
	"outpost/shared/billing"
	"outpost/shared/config"
	"outpost/shared/platform"
	"outpost/shared/problem"
	"outpost/shared/stripe"
	"outpost/shared/tenant"
)

type world struct {
	*entitlementtest.World
	route *apitest.Route
}

func newWorld(t *testing.T) *world {
	w := entitlementtest.New(t)
	return &world{w, serve(t, w, connect(t, w))}
}

// connect is the connection as the function makes it.
func connect(t *testing.T, w *entitlementtest.World) *stripe.Connection {
	t.Helper()
	secrets, err := (platform.Document{PepperVersion: "v1", Pepper: []byte(strings.Repeat("p", 32)), Stripe: entitlementtest.Keys}).Secrets()
	w.Must(err)
	c, err := stripe.ConnectLater(t.Context(), config.New(config.Map(map[string]string{
		"OUTPOST_STRIPE_PRICES": w.Keeper.Prices.String(), "OUTPOST_STRIPE_LIVE": "false", "OUTPOST_STRIPE_API_BASE": w.URL})), secrets)
	w.Must(err)
	return c
}

func serve(t *testing.T, w *entitlementtest.World, c *stripe.Connection) *apitest.Route {
	h := handler{store: w.Table, clock: w.Clock}
	if c != nil {
		h.stripe, h.prices = c, c.Prices
	}
	return apitest.Serve(t, "GET", "/v1/tenants/{id}/billing", h.handle)
}

func (w *world) show() (p page) {
	w.T.Helper()
	w.route.AsOperator(apitest.Request{ID: w.Tenant}).Into(w.T, 200, &p)
	return p
}

// fields are the fields that differ, in order.
func fields(p page) string {
	var names []string
	for _, d := range p.Differences {
		names = append(names, d.Field+": "+d.Recorded+" / "+d.Stripe)
	}
	return strings.Join(names, "; ")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestBothSidesAreShownWithTheirDifferences(t *testing.T) {
	w := newWorld(t)
	if p := w.show(); p.Plan != "free" || p.Source != "operator" || p.Stripe == nil || len(p.Differences) != 0 || p.Recorded.LookedAt != nil || !strings.Contains(text(p.Note), "operator decides") {
		t.Errorf("before all: %+v, %s", p, text(p.Note))
	}
	customer := w.Pays("pro")
	p := w.show() // every webhook was lost
	if p.Plan != "free" || p.Source != "stripe" || text(p.Recorded.Customer) != customer || text(p.Stripe.Plan) != "pro" || text(p.Stripe.Status) != "active" || len(p.Stripe.Subscriptions) != 1 {
		t.Errorf("%+v, %+v, %s", p, p.Stripe, text(p.Note))
	}
	if s := p.Stripe.Subscriptions[0]; text(s.Plan) != "pro" || s.ID != text(p.Stripe.Subscription) || s.CancelAt != nil {
		t.Errorf("%+v", s)
	}
	if got := fields(p); got != "plan: free / pro" || !strings.Contains(text(p.Note), "Nobody has looked") {
		t.Errorf("before the first look: %s, %s", got, text(p.Note))
	}
	w.Sync("")
	if p = w.show(); len(p.Differences) != 0 || p.Plan != "pro" || text(p.Recorded.Status) != "active" || p.Recorded.LookedAt == nil {
		t.Errorf("after a sync: %+v", p)
	}
	w.Must(w.Fake.SetCard(customer, standin.FailingCard))
	w.Advance(31*24*time.Hour + time.Hour)
	if p = w.show(); text(p.Stripe.Plan) != "pro" || text(p.Stripe.Status) != "past_due" || p.Stripe.Subscriptions[0].UnpaidSince == nil || !strings.Contains(fields(p), "status: active / past_due") {
		t.Errorf("within the grace: %s, %+v", fields(p), p.Stripe)
	}
	w.Clock.Advance(billing.Grace)
	if p = w.show(); text(p.Stripe.Plan) != "free" || !strings.Contains(fields(p), "plan: pro / free") {
		t.Errorf("after it: %s", fields(p))
	}
	w.Deletes(customer)
	if p = w.show(); !p.Stripe.Deleted || !strings.Contains(fields(p), "customer: "+customer+" / ") || text(p.Stripe.Plan) != "free" {
		t.Errorf("deleted: %s, %+v", fields(p), p.Stripe)
	}
	w.Sync("")
	if p = w.show(); p.Stripe == nil || p.Stripe.Customer != nil || len(p.Differences) != 0 || !strings.Contains(text(p.Note), "no customer") {
		t.Errorf("and synced: %s, %s", fields(p), text(p.Note))
	}
}

// Who opened a page and did not pay has a customer, and nothing that differs.
func TestBeforeTheFirstLookNothingDiffers(t *testing.T) {
	w := newWorld(t)
	customer, err := w.Stripe.Customer(t.Context(), w.Tenant, 0, "A", "a@example.com")
	w.Must(err)
	_, err = w.BindCustomer(t.Context(), w.Tenant, customer, w.By("billing.customer"))
	w.Must(err)
	if p := w.show(); len(p.Differences) != 0 || p.Recorded.LookedAt != nil || text(p.Recorded.Customer) != customer || p.Stripe == nil || !strings.Contains(text(p.Note), "Nobody has looked") {
		t.Errorf("%s, %+v, %s", fields(p), p, text(p.Note))
	}
	w.Sync("")
	if p := w.show(); len(p.Differences) != 0 || p.Recorded.LookedAt == nil || p.Note != nil {
		t.Errorf("after it: %s, %s", fields(p), text(p.Note))
	}
}

func TestStripeThatIsDownIsANote(t *testing.T) {
	w := newWorld(t)
	w.Pays("pro")
	w.Sync("")
	for _, status := range []int{429, 500, 503} {
		w.Fake.Fail(standin.Fault{Times: -1, Status: status})
		cold := connect(t, w.World) // a function that starts now has not checked the prices
		for _, route := range []*apitest.Route{w.route, serve(t, w.World, cold)} {
			var p page
			route.AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &p)
			if p.Stripe != nil || p.Plan != "pro" || text(p.Recorded.Plan) != "pro" || !strings.Contains(text(p.Note), "does not answer") || len(p.Differences) != 0 {
				t.Errorf("%d: %+v, %s", status, p, text(p.Note))
			}
		}
		w.Fake.Heal()
		var p page
		if serve(t, w.World, cold).AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &p); p.Stripe == nil || p.Note != nil {
			t.Errorf("once it answers: %s", text(p.Note))
		}
	}
	var p page
	if serve(t, w.World, nil).AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &p); p.Stripe != nil || text(p.Note) != "This Outpost has no billing." {
		t.Errorf("without billing: %+v", p)
	}
}

func TestAPriceThatNoPlanHasIsShownAndNamed(t *testing.T) {
	w := newWorld(t)
	w.Pays("pro")
	c := connect(t, w.World)
	pro, _ := c.Prices.Of("pro")
	c.Prices = slices.DeleteFunc(c.Prices, func(p billing.Price) bool { return p.ID == pro })
	var p page
	serve(t, w.World, c).AsOperator(apitest.Request{ID: w.Tenant}).Into(t, 200, &p)
	if p.Stripe == nil || p.Stripe.Plan != nil || len(p.Stripe.Subscriptions) != 1 || p.Stripe.Subscriptions[0].Plan != nil || !strings.Contains(text(p.Note), pro) || len(p.Differences) != 0 {
		t.Errorf("%+v, %s", p.Stripe, text(p.Note))
	}
}

func TestTheOperatorsPlanAndAClosedTenantAreShownAsWhatTheyAre(t *testing.T) {
	w := newWorld(t)
	enterprise, source := "enterprise", tenant.ByStripe
	w.Pays("pro") // and nobody has looked when the plan is taken over
	w.Change(tenant.Change{Plan: &enterprise})
	if p := w.show(); p.Source != "operator" || len(p.Differences) != 0 || !strings.Contains(text(p.Note), "a subscription is charged beside it") {
		t.Errorf("%s, %s", fields(p), text(p.Note))
	}
	w.Change(tenant.Change{PlanSource: &source})
	w.Sync("")
	_, err := w.ChangeTenant(t.Context(), w.Tenant, w.By("tenant.close"), func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Close(w.Clock.Now()), nil })
	w.Must(err)
	if p := w.show(); p.State != "closed" || len(p.Differences) != 0 || !strings.Contains(text(p.Note), "still subscribed") {
		t.Errorf("closed: %s, %s", fields(p), text(p.Note))
	}
	w.Sync("")
	if p := w.show(); len(p.Differences) != 0 || p.Note != nil {
		t.Errorf("closed and synced: %s, %s", fields(p), text(p.Note))
	}
}

func TestNobodyElseSeesATenantsBilling(t *testing.T) {
	w := newWorld(t)
	w.route.HidesFromTenants(&apitest.World{World: w.World.World, Caller: w.Caller}, w.Tenant)
	for _, id := range []string{"ten_01KAR5G5M0000000000000000Z", "", "nonsense", "tsk" + w.Tenant[3:]} {
		w.route.AsOperator(apitest.Request{ID: id}).Refused(t, problem.NotFound, "")
	}
}
