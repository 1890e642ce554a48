package checkout_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/stripe/stripe-go/v76"

	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/infra/local/stripe/lives"
	"outpost/shared/billing"
	"outpost/shared/checkout"
	"outpost/shared/settlement"
	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

const (
	day     = 24 * time.Hour
	success = "https://app.example.com/billing?done=1&from=outpost"
)

// world is a tenant at a desk, with a real table and a stand-in for Stripe that
// lives by the same clock. No webhook is ever delivered.
type world struct {
	*entitlementtest.World
	desk  checkout.Desk
	asked *atomic.Int64 // calls of the desk to Stripe
}

func newWorld(t *testing.T) *world {
	w := &world{World: entitlementtest.New(t), asked: &atomic.Int64{}}
	target, err := url.Parse(w.URL)
	w.Must(err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // faults are meant
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	counted, err := stripe.New(stripe.Options{Keys: entitlementtest.Keys, Base: server.URL, Clock: w.Clock})
	w.Must(err)
	w.Keeper.Stripe = counted
	w.desk = w.Desk()
	w.desk.Stripe, w.desk.Keeper = &stripe.Connection{Client: counted, Prices: w.Keeper.Prices}, w.Keeper
	return w
}

func (w *world) by(action, target string) table.By { return w.ByKey(action, target) }

func (w *world) open(plan string) (string, error) {
	w.Clock.Advance(time.Second)
	return w.desk.Open(w.T.Context(), w.Tenant, checkout.Wish{Plan: plan, SuccessURL: success, CancelURL: "https://app.example.com/"}, w.by)
}

// pay goes through a page and returns the way back.
func (w *world) pay(page string) (session, way string) {
	w.T.Helper()
	back := w.Pay(page)
	return back.Get("session_id"), back.Get("way")
}

func (w *world) returns(session, way string) string {
	w.Clock.Advance(time.Second)
	return w.desk.Return(w.T.Context(), session, way)
}

// subscribed makes the tenant one that has paid for a plan and come back.
func (w *world) subscribed(plan string) {
	w.T.Helper()
	page, err := w.open(plan)
	w.Must(err)
	if to := w.returns(w.pay(page)); to != success || w.Plan() != plan {
		w.T.Fatalf("led to %q, on the plan %s", to, w.Plan())
	}
}

func (w *world) change(plan string) error {
	w.Clock.Advance(time.Second)
	_, _, err := w.desk.Change(w.T.Context(), w.Tenant, plan, w.by)
	return err
}

func (w *world) standing() billing.Standing {
	w.T.Helper()
	b, err := w.Billing(w.T.Context(), w.Tenant)
	w.Must(err)
	return b.Standing
}

func TestATenantIsOnThePlanWhenItComesBack(t *testing.T) {
	w := newWorld(t)
	page, err := w.open("pro")
	w.Must(err)
	if again, err := w.open("pro"); err != nil || again != page {
		t.Errorf("the same wish: %s, %v", again, err)
	}
	session, way := w.pay(page)
	for range 3 { // a page that is loaded again
		if to := w.returns(session, way); to != success {
			t.Errorf("led to %q", to)
		}
	}
	tn, err := w.Table.Tenant(t.Context(), w.Tenant)
	if w.Must(err); w.Plan() != "pro" || tn.PlanSource != tenant.ByStripe || len(w.Fake.Customers()) != 1 {
		t.Errorf("%+v, %d customers", tn, len(w.Fake.Customers()))
	}
	if got := w.Fake.Customers()[0].Metadata["tenant"]; got != w.Tenant {
		t.Errorf("the customer is of %q", got)
	}
	if e := w.Events(); len(e) != 2 || e[0].Actor != "checkout/return" || !strings.Contains(e[0].Detail, session) {
		t.Errorf("%+v", e)
	}
	before := w.asked.Load()
	if w.returns(session, way); w.asked.Load() != before {
		t.Errorf("Stripe is asked %d times once more", w.asked.Load()-before)
	}
	if woken := w.Woken(); len(woken) != 1 {
		t.Errorf("woken: %v", woken)
	}
	trail, err := w.AuditTrail(t.Context(), w.Tenant, 100)
	w.Must(err)
	actions := map[string]string{}
	for _, e := range trail {
		actions[e.Action] = e.Actor
	}
	if actions["billing.checkout"] != w.Caller.KeyID || actions["billing.customer"] != w.Caller.KeyID {
		t.Errorf("the trail: %v", actions)
	}
}

func TestNobodyElseIsLedAnywhere(t *testing.T) {
	w := newWorld(t)
	page, err := w.open("pro")
	w.Must(err)
	unpaid := path.Base(page)
	_, way, _ := strings.Cut(w.desk.Ways.Back(w.Tenant, success), "&way=")
	other := &world{World: w.World, desk: w.desk, asked: w.asked}
	copied := *w.World
	other.World = &copied
	other.Another("free")
	elsewhere, err := other.open("enterprise")
	w.Must(err)
	theirs, theirWay := other.pay(elsewhere)
	forger := checkout.NewWays("https://api.example.com", []byte(strings.Repeat("f", 32)))
	_, forged, _ := strings.Cut(forger.Back(w.Tenant, "https://evil.example/"), "&way=")
	payload, mac, _ := strings.Cut(way, ".")
	_, stolen, _ := strings.Cut(w.desk.Ways.Back(w.Tenant, "https://evil.example/"), "&way=") // if one could be made
	for why, c := range map[string]struct {
		session, way string
		asks         bool // of Stripe
	}{
		"a session that is not paid":             {unpaid, way, true},
		"a session that is not there":            {"cs_test_nothing", way, true},
		"another tenant's session":               {theirs, way, true},
		"another tenant's way":                   {unpaid, theirWay, true},
		"a forged way":                           {theirs, forged, false},
		"a way with another's payload":           {theirs, strings.Split(stolen, ".")[0] + "." + mac, false},
		"a way without a signature":              {theirs, payload, false},
		"a way with an empty signature":          {theirs, payload + ".", false},
		"half a way":                             {theirs, way[:len(way)-2], false},
		"a way that is none":                     {theirs, "a.b", false},
		"nothing":                                {"", "", false},
		"the way of who has no billing's tenant": {theirs, "." + mac, false},
	} {
		before := w.asked.Load()
		if to := w.returns(c.session, c.way); to != "" {
			t.Errorf("%s: led to %s", why, to)
		}
		if asked := w.asked.Load() - before; asked > 1 || (asked == 1) != c.asks {
			t.Errorf("%s: Stripe is asked %d times", why, asked)
		}
	}
	if w.Plan() != "free" || other.Plan() != "free" {
		t.Errorf("on the plans %s and %s", w.Plan(), other.Plan())
	}
	if to := (checkout.Desk{}).Return(t.Context(), theirs, theirWay); to != "" {
		t.Errorf("without billing: led to %s", to)
	}
	if to := other.returns(theirs, theirWay); to != success || other.Plan() != "enterprise" || w.Plan() != "free" {
		t.Errorf("led to %q, on the plan %s", to, other.Plan())
	}
}

func TestWhoPaidIsLedOnWhileStripeIsDown(t *testing.T) {
	w := newWorld(t)
	page, err := w.open("pro")
	w.Must(err)
	session, way := w.pay(page)
	w.Fake.Fail(standin.Fault{Times: -1, Status: 503})
	if to := w.returns(session, way); to != success || w.Plan() != "free" {
		t.Errorf("led to %q, on the plan %s", to, w.Plan())
	}
	w.Fake.Heal()
	if to := w.returns(session, way); to != success || w.Plan() != "pro" {
		t.Errorf("and then to %q, on the plan %s", to, w.Plan())
	}
}

func TestWhoClicksOftenHasOnePageAndOneCustomer(t *testing.T) {
	w := newWorld(t)
	var people sync.WaitGroup
	var mu sync.Mutex
	pages := map[string]bool{}
	for range 12 {
		people.Go(func() {
			for range 20 { // a person clicks again
				url, err := w.desk.Open(context.Background(), w.Tenant, checkout.Wish{Plan: "pro", SuccessURL: success}, func(a, target string) table.By { return w.by(a, target) })
				if err == nil {
					mu.Lock()
					pages[url] = true
					mu.Unlock()
					return
				}
				w.Clock.Advance(time.Millisecond)
			}
			t.Error("there is no page after 20 clicks")
		})
	}
	people.Wait()
	b, err := w.Billing(t.Context(), w.Tenant)
	if w.Must(err); len(pages) != 1 || len(w.Fake.Customers()) != 1 || b.Customer != w.Fake.Customers()[0].ID {
		t.Errorf("%d pages, %d customers, %+v", len(pages), len(w.Fake.Customers()), b)
	}
}

func TestWhatIsRefused(t *testing.T) {
	suspended, stripes := tenant.Suspended, tenant.ByStripe
	wish := checkout.Wish{Plan: "pro"}
	for why, c := range map[string]struct {
		given func(w *world)
		do    func(w *world) error
		want  error
	}{
		"a second subscription": {func(w *world) { w.subscribed("pro") }, func(w *world) error { _, err := w.open("enterprise"); return err }, stripe.ErrSubscribed},
		"a second one, though nobody told of the first": {func(w *world) { w.Pays("pro") },
			func(w *world) error { _, err := w.open("pro"); return err }, stripe.ErrSubscribed},
		"Checkout with the operator's plan":   {func(w *world) { w.Another("enterprise") }, func(w *world) error { _, err := w.open("pro"); return err }, tenant.ErrOperatorsPlan},
		"another plan than the operator's":    {func(w *world) { w.Another("enterprise") }, func(w *world) error { return w.change("pro") }, tenant.ErrOperatorsPlan},
		"Checkout of who is suspended":        {func(w *world) { w.Change(tenant.Change{State: &suspended}) }, func(w *world) error { _, err := w.open("pro"); return err }, tenant.ErrNotActive},
		"an upgrade of who is suspended":      {func(w *world) { w.subscribed("pro"); w.Change(tenant.Change{State: &suspended}) }, func(w *world) error { return w.change("enterprise") }, tenant.ErrNotActive},
		"another plan without a customer":     {func(*world) {}, func(w *world) error { return w.change("pro") }, checkout.ErrNoSubscription},
		"another plan, handed over with none": {func(w *world) { w.Change(tenant.Change{PlanSource: &stripes}) }, func(w *world) error { return w.change("pro") }, checkout.ErrNoSubscription},
		"another plan behind an unpaid page":  {func(w *world) { _, err := w.open("pro"); w.Must(err) }, func(w *world) error { return w.change("pro") }, checkout.ErrNoSubscription},
		"a portal of nobody":                  {func(*world) {}, func(w *world) error { _, err := w.desk.Portal(t.Context(), w.Tenant, "", w.by); return err }, checkout.ErrNoSubscription},
		"the portal of a deleted customer": {func(w *world) { w.subscribed("pro"); w.Deletes(w.Fake.Customers()[0].ID) },
			func(w *world) error { _, err := w.desk.Portal(t.Context(), w.Tenant, "", w.by); return err }, checkout.ErrNoSubscription},
		"a plan that is free":  {func(*world) {}, func(w *world) error { _, err := w.open("free"); return err }, billing.ErrPlan},
		"a plan that is none":  {func(*world) {}, func(w *world) error { _, err := w.open("gold"); return err }, billing.ErrPlan},
		"no billing":           {func(w *world) { w.desk.Stripe = nil }, func(w *world) error { _, err := w.open("pro"); return err }, checkout.ErrNoBilling},
		"no billing, a change": {func(w *world) { w.desk.Stripe = nil }, func(w *world) error { return w.change("pro") }, checkout.ErrNoBilling},
		"no billing, a portal": {func(w *world) { w.desk.Stripe = nil }, func(w *world) error { _, err := w.desk.Portal(t.Context(), w.Tenant, "", w.by); return err }, checkout.ErrNoBilling},
		"a key that was revoked": {func(w *world) { w.Revoke(w.Caller) },
			func(w *world) error { _, err := w.desk.Open(t.Context(), w.Tenant, wish, w.by); return err }, table.ErrKeyRevoked},
		"a change by a key that was revoked": {func(w *world) { w.subscribed("pro"); w.Revoke(w.Caller) }, func(w *world) error { return w.change("enterprise") }, table.ErrKeyRevoked},
	} {
		t.Run(why, func(t *testing.T) {
			w := newWorld(t)
			c.given(w)
			plans, customers, charged := w.plan(), len(w.Fake.Customers()), w.charged()
			if err := c.do(w); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if why == "a second one, though nobody told of the first" {
				plans = "pro" // now it is known
			}
			if w.plan() != plans || len(w.Fake.Customers()) != customers || w.charged() != charged {
				t.Errorf("on the plan %s, %d customers, %d cents", w.plan(), len(w.Fake.Customers()), w.charged())
			}
		})
	}
}

// plan is the tenant's plan, whatever its keys have: one may be revoked.
func (w *world) plan() string {
	w.T.Helper()
	tn, err := w.Table.Tenant(w.T.Context(), w.Tenant)
	w.Must(err)
	return tn.Entitlement.Plan
}

// charged is what all customers have paid, in cents.
func (w *world) charged() (cents int64) {
	for _, c := range w.Fake.Customers() {
		for _, inv := range w.Fake.Invoices(c.ID) {
			cents += inv.AmountPaid
		}
	}
	return cents
}

func TestNobodyIsLedWhereTheListDoesNotSay(t *testing.T) {
	w := newWorld(t)
	for _, evil := range []string{"https://app.example.com.evil.com/", "https://app.example.com@evil.com/", "http://app.example.com/", "http://127.0.0.1/", "javascript:alert(1)"} {
		for field, wish := range map[string]checkout.Wish{"success_url": {Plan: "pro", SuccessURL: evil}, "cancel_url": {Plan: "pro", CancelURL: evil}} {
			_, err := w.desk.Open(t.Context(), w.Tenant, wish, w.by)
			var refused *checkout.URLError
			if !errors.As(err, &refused) || refused.Field != field {
				t.Errorf("%s %s: %v", field, evil, err)
			}
		}
		if _, err := w.desk.Portal(t.Context(), w.Tenant, evil, w.by); err == nil {
			t.Errorf("the portal leads to %s", evil)
		}
	}
	if w.asked.Load() != 0 {
		t.Errorf("Stripe was asked %d times", w.asked.Load())
	}
	page, err := w.desk.Open(t.Context(), w.Tenant, checkout.Wish{Plan: "pro"}, w.by) // to nowhere: Outpost's own page
	w.Must(err)
	if session, way := w.pay(page); w.returns(session, way) != "" || w.Plan() != "pro" {
		t.Errorf("on the plan %s", w.Plan())
	}
	w.Must(w.Stripe.SetUpPortal(t.Context(), "https://app.example.com/"))
	for _, back := range []string{success, ""} {
		if url, err := w.desk.Portal(t.Context(), w.Tenant, back, w.by); err != nil || !strings.Contains(url, "/portal/") {
			t.Errorf("the portal back to %q: %q, %v", back, url, err)
		}
	}
}

// A wish while Stripe is down fails as one that may be repeated, and leaves
// nothing behind that a repetition trips over.
func TestWishesWhileStripeIsDownMayBeRepeated(t *testing.T) {
	w := newWorld(t)
	for _, fault := range []standin.Fault{{Times: -1, Down: true}, {Times: -1, Status: 500}, {Times: -1, Status: 429}} {
		w.Fake.Fail(fault)
		_, err := w.open("pro")
		var down *checkout.Unavailable
		if !errors.As(err, &down) || w.Plan() != "free" {
			t.Errorf("%v, on the plan %s", err, w.Plan())
		}
		w.Fake.Heal()
	}
	w.subscribed("pro")
	w.Fake.Fail(standin.Fault{Times: -1, Status: 503})
	var down *checkout.Unavailable
	if err := w.change("enterprise"); !errors.As(err, &down) || w.Plan() != "pro" {
		t.Errorf("%v, on the plan %s", err, w.Plan())
	}
	w.Fake.Heal()
	w.Must(w.change("enterprise"))
	if w.Plan() != "enterprise" {
		t.Errorf("on the plan %s", w.Plan())
	}
	// The change is made and its answer lost.
	w.Fake.Fail(standin.Fault{Path: "/v1/subscriptions/", Times: 2, LoseAnswer: true})
	for tries := 0; w.change("free") != nil; tries++ {
		if tries == 2 {
			t.Fatal("a lost answer cannot be made good")
		}
	}
	if s := w.standing(); s.Next != "free" || w.Plan() != "enterprise" {
		t.Errorf("%+v", s)
	}
}

// oldPrice makes a price at which a plan was sold when it was 10 dollars cheaper.
func (w *world) oldPrice(plan string) string {
	w.T.Helper()
	api := lives.New(w.Fake, w.URL, entitlementtest.Keys, nil).API
	p, err := api.Prices.New(&sdk.PriceParams{Product: sdk.String("outpost_" + plan), Currency: sdk.String("usd"), UnitAmount: sdk.Int64(int64(billing.Cost(plan))*100 - 1000),
		Metadata: map[string]string{"outpost": "plan"}, Recurring: &sdk.PriceRecurringParams{Interval: sdk.String("month")}})
	w.Must(err)
	return p.ID
}

// pays is the price of the tenant's subscription, and what it costs.
func (w *world) pays() (price string, cents int64) {
	w.T.Helper()
	b, err := w.Billing(w.T.Context(), w.Tenant)
	w.Must(err)
	for _, sub := range w.Fake.Subscriptions(b.Customer) {
		if !billing.Status(sub.Status).Over() {
			return sub.Items.Data[0].Price, w.Fake.Invoices(b.Customer)[0].AmountPaid
		}
	}
	return "", 0
}

// Whoever pays a price of the past keeps it and its plan for as long as it likes:
// over renewals, and whatever it takes back. Another plan is at the price that is
// sold, and so is the way back.
func TestWhoPaysAPriceOfThePastKeepsItAndThePlan(t *testing.T) {
	for _, plan := range []string{"pro", "enterprise"} {
		w := newWorld(t)
		old := w.oldPrice(plan)
		sold, prices := w.Keeper.Prices, billing.Prices{}
		for _, p := range sold {
			if p.Plan == plan {
				prices = append(prices, billing.Price{ID: old, Plan: plan})
			} else {
				prices = append(prices, p)
			}
		}
		w.desk.Stripe.(*stripe.Connection).Prices, w.desk.Prices = sold, prices // as it was, and was right
		w.Keeper.Prices = prices
		w.desk.Keeper = w.Keeper
		w.subscribed(plan)

		again, err := w.Stripe.SetUpPrices(t.Context())
		w.Must(err)
		if price, _ := again.Of(plan); price == old || again.Plan(old) != plan || len(again) != 3 {
			t.Fatalf("%s: set up are %v, the old one is %s", plan, again, old)
		}
		w.Must(w.Stripe.Check(t.Context(), again))
		w.desk.Stripe.(*stripe.Connection).Prices, w.desk.Prices, w.Keeper.Prices = again, again, again
		w.desk.Keeper = w.Keeper
		cost := int64(billing.Cost(plan))*100 - 1000
		stays := func(when string) {
			t.Helper()
			w.Sync("")
			if price, cents := w.pays(); price != old || cents != cost || w.Plan() != plan {
				t.Errorf("%s, %s: on the plan %s, at %s for %d", plan, when, w.Plan(), price, cents)
			}
		}
		stays("after the change")
		w.Must(w.change(plan))
		stays("who asks for the plan that there is")
		w.Must(w.change("free"))
		w.Must(w.change(plan))
		stays("who takes back the end")
		w.Advance(32 * day)
		stays("renewed")

		other := map[string]string{"pro": "enterprise", "enterprise": "pro"}[plan]
		if plan == "enterprise" { // down, at the period's end: taken back first
			w.Must(w.change(other))
			w.Must(w.change(plan))
			stays("who takes back a cheaper plan")
		}
		for _, wish := range []string{other, plan} { // there and back
			w.Must(w.change(wish))
			w.Advance(32 * day)
			w.Sync("")
			want, _ := again.Of(wish)
			if price, _ := w.pays(); price != want || w.Plan() != wish {
				t.Errorf("%s to %s: on the plan %s, at %s, want %s", plan, wish, w.Plan(), price, want)
			}
		}
	}
}

// A price that Stripe does not sell as the plan says sells nothing.
func TestNothingIsSoldAtAPriceThatIsNotThePlans(t *testing.T) {
	w := newWorld(t)
	wrong := billing.Prices{}
	for _, p := range w.Keeper.Prices {
		wrong = append(wrong, billing.Price{ID: p.ID, Plan: map[string]string{"pro": "enterprise", "enterprise": "pro"}[p.Plan]})
	}
	right := w.desk.Stripe.(*stripe.Connection)
	w.desk.Stripe, w.desk.Prices = &stripe.Connection{Client: right.Client, Prices: wrong}, wrong
	var down *checkout.Unavailable
	if url, err := w.open("enterprise"); !errors.As(err, &down) || url != "" || len(w.Fake.Customers()) != 0 {
		t.Errorf("%s, %v, %d customers", url, err, len(w.Fake.Customers()))
	}
}

// What one life after the other ends in, and what the tenant reads meanwhile. No
// webhook comes; the hourly comparison looks, and the clock moves.
func TestEachLifeEndsInTheRightPlanWithTheRightSentence(t *testing.T) {
	type step struct {
		after    time.Duration
		do       func(w *world) error
		plan     string
		sentence string // part of it
	}
	change := func(plan string) func(*world) error { return func(w *world) error { return w.change(plan) } }
	card := func(card string) func(*world) error {
		return func(w *world) error { return w.Fake.SetCard(w.Fake.Customers()[0].ID, card) }
	}
	const month = 30 * day // from 23 November
	const renewed = month + 2*time.Hour
	for why, steps := range map[string][]step{
		"upgrade": {{0, change("enterprise"), "enterprise", "The enterprise plan renews 23 December"}, {renewed, nil, "enterprise", "renews 23 January"}},
		"upgrade with a card that fails": {{0, card(standin.FailingCard), "pro", "renews"},
			{0, change("enterprise"), "pro", "The enterprise plan begins once it is paid: pay its invoice in the billing portal until 24 November"}, {day, nil, "pro", "The pro plan renews 23 December"}},
		"upgrade once the card is better": {{0, card(standin.FailingCard), "pro", "renews"}, {0, change("enterprise"), "pro", "once it is paid"},
			{time.Hour, card(standin.GoodCard), "pro", "once it is paid"}, {0, change("enterprise"), "enterprise", "The enterprise plan renews"}},
		"downgrade at the period's end": {{0, change("enterprise"), "enterprise", "renews"}, {day, change("pro"), "enterprise", "The enterprise plan becomes the pro plan 23 December"},
			{renewed - 2*day, nil, "enterprise", "becomes the pro plan 23 December"}, {2 * day, nil, "pro", "The pro plan renews 23 January"}},
		"downgrade that is taken back": {{0, change("enterprise"), "enterprise", "renews"}, {day, change("pro"), "enterprise", "becomes the pro plan"},
			{day, change("enterprise"), "enterprise", "The enterprise plan renews"}, {renewed, nil, "enterprise", "renews 23 January"}},
		"cancel": {{day, change("free"), "pro", "The pro plan is canceled and ends 23 December"}, {month - 2*day, nil, "pro", "ends 23 December"}, {2 * day, nil, "free", "The subscription has ended: the free plan."}},
		"resume": {{day, change("free"), "pro", "is canceled and ends"}, {day, change("pro"), "pro", "The pro plan renews 23 December"}, {renewed, nil, "pro", "renews 23 January"}},
		"a card fails, and nobody pays": {{0, card(standin.FailingCard), "pro", "renews"}, {renewed, nil, "pro", "A payment failed: the pro plan stays until 30 December"},
			{6 * day, nil, "pro", "stays until 30 December"}, {day, nil, "free", "the grace ended 30 December"}, {20 * day, nil, "free", "The subscription has ended"}},
		"a card fails, and a better one pays": {{0, card(standin.FailingCard), "pro", "renews"}, {renewed, nil, "pro", "A payment failed"},
			{0, change("enterprise"), "", billing.ErrUnpaid.Error()}, {day, card(standin.GoodCard), "pro", "A payment failed"}, {4 * day, nil, "pro", "The pro plan renews 23 January"}},
		"a card fails, and the tenant leaves": {{0, card(standin.FailingCard), "pro", "renews"}, {renewed, nil, "pro", "A payment failed"}, {0, change("free"), "pro", "A payment failed"},
			{8 * day, nil, "free", "the grace ended"}},
		"the customer is deleted, and subscribes again": {
			{day, func(w *world) error { w.Deletes(w.Fake.Customers()[0].ID); return nil }, "free", "The customer was deleted at Stripe"},
			{day, func(w *world) error { w.subscribed("enterprise"); return nil }, "enterprise", "The enterprise plan renews"}},
	} {
		t.Run(why, func(t *testing.T) {
			w := newWorld(t)
			w.subscribed("pro")
			for i, step := range steps {
				w.Clock.Advance(step.after)
				w.Fake.Tick()
				if step.do != nil {
					if err := step.do(w); err != nil && (step.plan != "" || !strings.Contains(err.Error(), step.sentence)) {
						t.Fatalf("step %d: %v", i, err)
					} else if (err == nil) == (step.plan == "") {
						t.Errorf("step %d is not refused", i)
					}
				}
				if step.plan == "" {
					continue
				}
				w.Sync("") // as the hourly comparison does
				if s := w.standing(); w.Plan() != step.plan || s.Plan != step.plan || !strings.Contains(s.Sentence, step.sentence) {
					t.Errorf("step %d: on the plan %s, %+v, want %s: %s", i, w.Plan(), s, step.plan, step.sentence)
				}
			}
		})
	}
}

// Over the limits of a smaller plan what waits goes on waiting, what runs ends as
// it would have, and a place is given again below the new limit.
func TestWorkOverTheNewLimitsWaitsAndWorkThatRunsEnds(t *testing.T) {
	w := newWorld(t)
	w.subscribed("pro")
	w.Must(w.change("free"))
	w.Clock.Advance(30*day - 10*time.Minute) // the plan ends in ten minutes
	w.Fake.Tick()
	caller, err := w.KeyByHash(t.Context(), w.Caller.KeyHash)
	w.Must(err)
	w.Caller.Entitlement = caller.Entitlement
	w.World.World.Tenant = w.Tenant
	w.SubmitAs(w.Caller, 4)
	first, second := w.Running("token-1"), w.Running("token-2")
	w.Clock.Advance(11 * time.Minute)
	w.Fake.Tick()
	if _, plan := w.Sync(""); plan != "free" {
		t.Fatalf("on the plan %s", plan)
	}
	if load := w.Load(); load.Running != 2 || load.Waiting != 2 {
		t.Errorf("the end of the plan moved the load: %+v", load)
	}
	starts := func() error {
		s, err := w.Standing(t.Context(), w.Tenant)
		w.Must(err)
		limits, err := s.Entitlement.Limits()
		w.Must(err)
		q, err := w.Queue(t.Context(), w.Tenant, 1)
		w.Must(err)
		_, _, err = w.StartRun(t.Context(), w.Tenant, table.Start{Entry: q[0], Cap: limits.ConcurrentRuns, Load: s.Load, VirtualTime: s.Load.VirtualTime + 1, LeaseUntil: w.Clock.Now().Add(time.Minute)})
		return err
	}
	for i, run := range []string{first.ID, second.ID} {
		if err := starts(); err == nil {
			t.Errorf("a run starts beside %d others on the plan free", 2-i)
		}
		r := w.Read(run)
		if r.State.Terminal() {
			t.Errorf("%s was ended by the plan: %s", run, r.State)
		}
		w.Finish(r)
		_, err := settlement.Settler{Store: w.Table, Clock: w.Clock, Timing: task.DefaultTiming}.Settle(t.Context(), w.Tenant, run, r.Starts)
		w.Must(err)
		if r := w.Read(run); r.State != "succeeded" {
			t.Errorf("%s ended as %s", run, r.State)
		}
	}
	if err := starts(); err != nil {
		t.Errorf("the first of those that waited: %v", err)
	}
	if err := starts(); err == nil {
		t.Error("two run at once on the plan free")
	}
}
