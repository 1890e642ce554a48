package stripe_test

import (
	"net/url"
	"strings"
	"testing"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/infra/local/stripe"
)

// press presses a button of a page.
func (w *world) press(page, action string, more ...string) (status int, answer string) {
	w.t.Helper()
	form := url.Values{"action": {action}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return w.send("POST", strings.TrimPrefix(page, w.url), form.Encode(), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
}

func (w *world) page(page string) string {
	w.t.Helper()
	status, body := w.send("GET", strings.TrimPrefix(page, w.url), "", nil)
	if status != 200 || !strings.Contains(body, "A stand-in for Stripe") {
		w.t.Fatalf("%d %s", status, body)
	}
	return body
}

func TestAPersonPaysAtCheckout(t *testing.T) {
	w := newWorld(t)
	cs := w.checkout(w.customer(), w.pro)
	if body := w.page(cs.URL); !strings.Contains(body, "Outpost: $29.00") || !strings.Contains(body, `value="pm_card_visa"`) {
		t.Errorf("%s", body)
	}
	for _, card := range []string{stripe.DeclinedCard, stripe.FailingCard} {
		if status, body := w.press(cs.URL, card); status != 402 || !strings.Contains(body, "Your card was declined.") {
			t.Errorf("%s: %d %s", card, status, body)
		}
	}
	if subs := w.Subscriptions(cs.Customer.ID); len(subs) != 0 {
		t.Fatalf("a declined card subscribed: %+v", subs)
	}
	if status, to := w.press(cs.URL, "back"); status != 303 || !strings.HasPrefix(to, w.url+"/back") {
		t.Errorf("back: %d %s", status, to)
	}
	status, to := w.press(cs.URL, stripe.GoodCard)
	if status != 303 || !strings.HasPrefix(to, w.url+"/ok?session="+cs.ID) {
		t.Errorf("%d %s", status, to)
	}
	p := &sdk.CheckoutSessionParams{}
	p.AddExpand("subscription")
	p.AddExpand("line_items")
	done := must(w.api.CheckoutSessions.Get(cs.ID, p))(t)
	if done.Status != "complete" || done.PaymentStatus != "paid" || done.Subscription.Status != "active" || done.LineItems.Data[0].Price.ID != w.pro || done.URL != "" {
		t.Errorf("%+v", done)
	}
}

func TestASessionIsPaidOnce(t *testing.T) {
	w := newWorld(t)
	customer := w.customer()
	cs, tab := w.checkout(customer, w.pro), w.checkout(customer, w.pro)
	w.press(cs.URL, stripe.GoodCard)
	if status, body := w.press(cs.URL, stripe.GoodCard); status != 400 || !strings.Contains(body, "complete") {
		t.Errorf("the second click: %d %s", status, body)
	}
	if n := len(w.Subscriptions(customer)); n != 1 {
		t.Fatalf("%d subscriptions", n)
	}
	// Nothing of Stripe's keeps another session from making a second one: the
	// caller has to expire it.
	must(w.api.CheckoutSessions.Expire(tab.ID, nil))(t)
	if status, _ := w.press(tab.URL, stripe.GoodCard); status != 400 {
		t.Errorf("an expired session: %d", status)
	}
	_, err := w.api.CheckoutSessions.Expire(tab.ID, nil)
	refused(t, err, 400, "")
	open := w.checkout(customer, w.pro)
	w.press(open.URL, stripe.GoodCard)
	if n := len(w.Subscriptions(customer)); n != 2 {
		t.Errorf("%d subscriptions", n)
	}
	late := w.checkout(customer, w.pro)
	w.deliver()
	w.Advance(day)
	if status, _ := w.press(late.URL, stripe.GoodCard); status != 400 {
		t.Errorf("a session of yesterday: %d", status)
	}
	told(t, w.deliver(), "checkout.session.expired")
}

// portal opens the billing portal with every feature.
func (w *world) portal(customer string) string {
	w.t.Helper()
	product := must(w.api.Prices.Get(w.pro, nil))(w.t).Product.ID
	must(w.api.BillingPortalConfigurations.New(&sdk.BillingPortalConfigurationParams{
		BusinessProfile: &sdk.BillingPortalConfigurationBusinessProfileParams{Headline: sdk.String("Outpost")},
		Features: &sdk.BillingPortalConfigurationFeaturesParams{
			PaymentMethodUpdate: &sdk.BillingPortalConfigurationFeaturesPaymentMethodUpdateParams{Enabled: sdk.Bool(true)},
			SubscriptionCancel:  &sdk.BillingPortalConfigurationFeaturesSubscriptionCancelParams{Enabled: sdk.Bool(true), Mode: sdk.String("at_period_end")},
			SubscriptionUpdate: &sdk.BillingPortalConfigurationFeaturesSubscriptionUpdateParams{Enabled: sdk.Bool(true), DefaultAllowedUpdates: sdk.StringSlice([]string{"price"}),
				ProrationBehavior: sdk.String("always_invoice"),
				Products:          []*sdk.BillingPortalConfigurationFeaturesSubscriptionUpdateProductParams{{Product: &product, Prices: sdk.StringSlice([]string{w.pro, w.enterprise})}}},
		}}))(w.t)
	return must(w.api.BillingPortalSessions.New(&sdk.BillingPortalSessionParams{Customer: &customer, ReturnURL: sdk.String(w.url + "/account")}))(w.t).URL
}

func TestAPersonChangesASubscriptionInThePortal(t *testing.T) {
	w := newWorld(t)
	customer, id := w.subscribe(w.pro)
	_, err := w.api.BillingPortalSessions.New(&sdk.BillingPortalSessionParams{Customer: &customer})
	refused(t, err, 400, "") // there is no configuration yet
	portal := w.portal(customer)
	if body := w.page(portal); !strings.Contains(body, "active, renews 28 February 2026") || !strings.Contains(body, "Change to Outpost for $199.00") {
		t.Errorf("%s", body)
	}
	w.press(portal, "change", "subscription", id, "price", w.enterprise)
	w.is(id, "active", w.enterprise)
	w.press(portal, "cancel", "subscription", id)
	if sub := w.sub(id); !sub.CancelAtPeriodEnd || !strings.Contains(w.page(portal), "ends 28 February 2026") {
		t.Errorf("%+v", sub)
	}
	w.press(portal, "resume", "subscription", id)
	if w.sub(id).CancelAtPeriodEnd {
		t.Error("it was not resumed")
	}
	w.press(portal, stripe.FailingCard)
	w.Advance(30 * day)
	w.is(id, "past_due", w.enterprise)
	if status, _ := w.press(portal, "pay", "subscription", id); status != 402 {
		t.Errorf("the failing card pays: %d", status)
	}
	if status, _ := w.press(portal, stripe.DeclinedCard); status != 402 {
		t.Errorf("a declined card is taken: %d", status)
	}
	w.press(portal, stripe.GoodCard)
	w.press(portal, "pay", "subscription", id)
	w.is(id, "active", w.enterprise)
	if status, to := w.press(portal, "back"); status != 303 || !strings.HasPrefix(to, w.url+"/account") {
		t.Errorf("back: %d %s", status, to)
	}
}

func TestThePortalIsOneCustomersAlone(t *testing.T) {
	w := newWorld(t)
	_, theirs := w.subscribe(w.pro)
	mine, id := w.subscribe(w.pro)
	portal := w.portal(mine)
	if strings.Contains(w.page(portal), theirs) {
		t.Error("another's subscription is shown")
	}
	for _, c := range [][]string{{"cancel", "subscription", theirs}, {"change", "subscription", id, "price", "price_none"}, {"explode", "subscription", id}, {""}} {
		if status, _ := w.press(portal, c[0], c[1:]...); status != 400 {
			t.Errorf("%v: %d", c, status)
		}
	}
	w.is(theirs, "active", w.pro)
	if w.sub(theirs).CancelAtPeriodEnd {
		t.Error("another's subscription was cancelled")
	}
}

func TestAnOpenInvoiceIsPaidOnItsPage(t *testing.T) {
	w := newWorld(t)
	customer, id := w.subscribe(w.pro)
	_ = w.SetCard(customer, stripe.FailingCard)
	w.Advance(29 * day)
	page := w.sub(id).LatestInvoice.HostedInvoiceURL
	if body := w.page(page); !strings.Contains(body, "$29.00, open") {
		t.Errorf("%s", body)
	}
	w.press(page, stripe.GoodCard)
	w.is(id, "active", w.pro)
	if status, _ := w.press(page, stripe.GoodCard); status != 400 {
		t.Errorf("it is paid twice: %d", status)
	}
}

func TestTheOverviewMovesTheClockAndSetsFaults(t *testing.T) {
	w := newWorld(t)
	customer, _ := w.subscribe(w.pro)
	w.deliver()
	w.press(w.url+"/", "advance", "days", "31")
	if n := len(w.Invoices(customer)); n != 2 {
		t.Errorf("%d invoices after a month", n)
	}
	w.press(w.url+"/", "faults", "drop", "100", "duplicate", "0", "delay", "0", "forge", "0")
	w.deliver()
	w.customer()
	if got := w.deliver(); got != nil {
		t.Errorf("heard %v", got)
	}
	if body := w.page(w.url + "/"); !strings.Contains(body, "undelivered") || !strings.Contains(body, "Drop:1") || !strings.Contains(body, customer) {
		t.Errorf("%s", body)
	}
	w.press(w.url+"/", "down")
	if _, err := w.api.Accounts.Get(); err == nil {
		t.Error("the API answers")
	}
	w.press(w.url+"/", "heal")
	must(w.api.Accounts.Get())(t)
	if status, _ := w.press(w.url+"/", "advance", "days", "many"); status != 400 {
		t.Errorf("many days: %d", status)
	}
}
