package stripe_test

import (
	"errors"
	"testing"
	"time"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/infra/local/stripe"
)

// upgrade changes a subscription's price at once.
func (w *world) upgrade(id, price string) (*sdk.Subscription, error) {
	return w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{
		Items:             []*sdk.SubscriptionItemsParams{{ID: sdk.String(w.sub(id).Items.Data[0].ID), Price: &price}},
		ProrationBehavior: sdk.String("always_invoice"), PaymentBehavior: sdk.String("pending_if_incomplete")})
}

// downgrade changes a subscription's price at its period's end.
func (w *world) downgrade(id, price string) string {
	w.t.Helper()
	sch := must(w.api.SubscriptionSchedules.New(&sdk.SubscriptionScheduleParams{FromSubscription: &id}))(w.t)
	now := sch.Phases[0]
	must(w.api.SubscriptionSchedules.Update(sch.ID, &sdk.SubscriptionScheduleParams{EndBehavior: sdk.String("release"), Phases: []*sdk.SubscriptionSchedulePhaseParams{
		{Items: []*sdk.SubscriptionSchedulePhaseItemParams{{Price: &now.Items[0].Price.ID, Quantity: sdk.Int64(1)}}, StartDate: &now.StartDate, EndDate: &now.EndDate},
		{Items: []*sdk.SubscriptionSchedulePhaseItemParams{{Price: &price, Quantity: sdk.Int64(1)}}, Iterations: sdk.Int64(1)},
	}}))(w.t)
	return sch.ID
}

func TestASubscriptionIsPaidForMonthAfterMonth(t *testing.T) {
	w := newWorld(t)
	customer, id := w.subscribe(w.pro)
	told(t, w.deliver(), "customer.created", "customer.subscription.created", "customer.subscription.updated", "invoice.paid", "checkout.session.completed")
	sub := w.sub(id)
	if sub.Status != "active" || sub.Customer.ID != customer || sub.Metadata["tenant"] != "ten_1" || sub.CurrentPeriodStart != start.Unix() ||
		sub.CurrentPeriodEnd != time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC).Unix() || sub.LatestInvoice.AmountPaid != 2900 || sub.LatestInvoice.PaymentIntent.Status != "succeeded" {
		t.Errorf("%+v", sub)
	}
	w.Advance(28*day + 30*time.Minute)
	told(t, w.deliver(), "invoice.upcoming", "invoice.created", "customer.subscription.updated")
	if inv := w.sub(id).LatestInvoice; inv.Status != "draft" {
		t.Errorf("the renewal's invoice is %s within the hour", inv.Status)
	}
	w.Advance(time.Hour)
	told(t, w.deliver(), "invoice.finalized", "invoice.paid")
	w.Advance(31 * day)
	sub = w.sub(id)
	if want := time.Date(2026, 4, 30, 12, 0, 0, 0, time.UTC).Unix(); sub.Status != "active" || sub.CurrentPeriodEnd != want {
		t.Errorf("%s to %s", sub.Status, time.Unix(sub.CurrentPeriodEnd, 0).UTC())
	}
	if n := len(w.Invoices(customer)); n != 3 {
		t.Errorf("%d invoices, want 3", n)
	}
}

func TestAnUpgradeIsChargedAtOnceForTheRestOfThePeriod(t *testing.T) {
	w := newWorld(t)
	_, id := w.subscribe(w.pro)
	w.deliver()
	w.Advance(14 * day) // half of February's 28 days
	sub := must(w.upgrade(id, w.enterprise))(t)
	w.is(id, "active", w.enterprise)
	told(t, w.deliver(), "invoice.paid", "customer.subscription.updated")
	inv := w.sub(id).LatestInvoice
	if inv.Total != (19900-2900)/2 || inv.BillingReason != "subscription_update" || len(inv.Lines.Data) != 2 || sub.CurrentPeriodEnd != w.sub(id).CurrentPeriodEnd {
		t.Errorf("%+v", inv)
	}
}

func TestAnUpgradeThatIsNotPaidWaitsAndThenExpires(t *testing.T) {
	for _, paid := range []bool{true, false} {
		w := newWorld(t)
		customer, id := w.subscribe(w.pro)
		if err := w.SetCard(customer, stripe.FailingCard); err != nil {
			t.Fatal(err)
		}
		w.deliver()
		sub := must(w.upgrade(id, w.enterprise))(t)
		if sub.PendingUpdate == nil || sub.PendingUpdate.SubscriptionItems[0].Price.ID != w.enterprise {
			t.Fatalf("no pending update: %+v", sub.PendingUpdate)
		}
		w.is(id, "active", w.pro)
		told(t, w.deliver(), "invoice.payment_failed", "customer.subscription.updated")
		if paid {
			must(w.api.Invoices.Pay(w.sub(id).LatestInvoice.ID, &sdk.InvoicePayParams{PaymentMethod: sdk.String(stripe.GoodCard)}))(t)
			w.is(id, "active", w.enterprise)
			told(t, w.deliver(), "customer.subscription.pending_update_applied", "invoice.paid")
			continue
		}
		w.Advance(23 * time.Hour)
		w.is(id, "active", w.pro)
		told(t, w.deliver(), "customer.subscription.pending_update_expired", "invoice.voided")
		if w.sub(id).PendingUpdate != nil {
			t.Error("the pending update is still there")
		}
	}
}

func TestADowngradeComesAtThePeriodsEnd(t *testing.T) {
	w := newWorld(t)
	_, id := w.subscribe(w.enterprise)
	schedule := w.downgrade(id, w.pro)
	w.is(id, "active", w.enterprise)
	if s := w.sub(id).Schedule; s == nil || s.ID != schedule || len(s.Phases) != 2 || s.Phases[1].Items[0].Price.ID != w.pro {
		t.Fatalf("%+v", s)
	}
	w.deliver()
	w.Advance(28*day - time.Second)
	w.is(id, "active", w.enterprise)
	w.Advance(time.Second)
	w.is(id, "active", w.pro)
	w.Advance(time.Hour)
	told(t, w.deliver(), "subscription_schedule.updated", "customer.subscription.updated", "invoice.paid")
	if inv := w.sub(id).LatestInvoice; inv.Total != 2900 {
		t.Errorf("the first month at the lower price costs %d", inv.Total)
	}
	w.Advance(31 * day)
	if w.sub(id).Schedule != nil {
		t.Error("the schedule was not released")
	}
	told(t, w.deliver(), "subscription_schedule.released")
	w.is(id, "active", w.pro)
}

func TestAScheduledSubscriptionIsCanceledOnlyAfterItsRelease(t *testing.T) {
	w := newWorld(t)
	_, id := w.subscribe(w.enterprise)
	schedule := w.downgrade(id, w.pro)
	_, err := w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{CancelAtPeriodEnd: sdk.Bool(true)})
	refused(t, err, 400, "")
	must(w.api.SubscriptionSchedules.Release(schedule, nil))(t)
	must(w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{CancelAtPeriodEnd: sdk.Bool(true)}))(t)
	w.Advance(28 * day)
	w.is(id, "canceled", w.enterprise)
}

func TestACancelledSubscriptionLastsToItsPeriodsEndAndMayBeResumed(t *testing.T) {
	w := newWorld(t)
	customer, id := w.subscribe(w.pro)
	sub := must(w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{CancelAtPeriodEnd: sdk.Bool(true)}))(t)
	if sub.Status != "active" || !sub.CancelAtPeriodEnd || sub.CancelAt != sub.CurrentPeriodEnd || sub.CanceledAt == 0 {
		t.Errorf("%+v", sub)
	}
	must(w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{CancelAtPeriodEnd: sdk.Bool(false)}))(t)
	w.Advance(29 * day)
	w.is(id, "active", w.pro)
	must(w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{CancelAtPeriodEnd: sdk.Bool(true)}))(t)
	w.deliver()
	w.Advance(31 * day)
	w.is(id, "canceled", w.pro)
	told(t, w.deliver(), "customer.subscription.deleted")
	if n := len(w.Invoices(customer)); n != 2 {
		t.Errorf("%d invoices: it was charged after its end", n)
	}
	_, err := w.api.Subscriptions.Cancel(id, nil)
	refused(t, err, 404, "resource_missing")
}

func TestAFailingCardIsTriedAgainAndThenTheSubscriptionEnds(t *testing.T) {
	for _, c := range []struct{ after, status string }{{"canceled", "canceled"}, {"unpaid", "unpaid"}, {"past_due", "past_due"}} {
		w := newWorld(t, func(o *stripe.Options) { o.AfterRetries = c.after })
		customer, id := w.subscribe(w.pro)
		if err := w.SetCard(customer, stripe.FailingCard); err != nil {
			t.Fatal(err)
		}
		w.deliver()
		w.Advance(28*day + time.Hour)
		w.is(id, "past_due", w.pro)
		told(t, w.deliver(), "invoice.payment_failed", "customer.subscription.updated")
		if inv := w.sub(id).LatestInvoice; inv.AttemptCount != 1 || inv.NextPaymentAttempt == 0 || inv.PaymentIntent.LastPaymentError.DeclineCode != "generic_decline" {
			t.Errorf("%+v", inv)
		}
		w.Advance(8*day + time.Hour)
		w.is(id, "past_due", w.pro)
		w.Advance(7 * day)
		w.is(id, c.status, w.pro)
		if c.after == "canceled" {
			told(t, w.deliver(), "customer.subscription.deleted")
			continue
		}
		inv := w.sub(id).LatestInvoice
		must(w.api.Invoices.Pay(inv.ID, &sdk.InvoicePayParams{PaymentMethod: sdk.String(stripe.GoodCard)}))(t)
		w.is(id, "active", w.pro)
	}
}

func TestABetterCardPaysAtTheNextTry(t *testing.T) {
	w := newWorld(t)
	customer, id := w.subscribe(w.pro)
	_ = w.SetCard(customer, stripe.FailingCard)
	w.Advance(28*day + time.Hour)
	w.is(id, "past_due", w.pro)
	_ = w.SetCard(customer, stripe.GoodCard)
	w.is(id, "past_due", w.pro)
	w.Advance(3 * day)
	w.is(id, "active", w.pro)
}

func TestADeletedCustomersSubscriptionsEndAtOnce(t *testing.T) {
	w := newWorld(t)
	customer, id := w.subscribe(w.pro)
	w.deliver()
	must(w.api.Customers.Del(customer, nil))(t)
	w.is(id, "canceled", w.pro)
	told(t, w.deliver(), "customer.subscription.deleted", "customer.deleted")
	if c := must(w.api.Customers.Get(customer, nil))(t); !c.Deleted {
		t.Errorf("%+v", c)
	}
	_, err := w.api.Customers.Update(customer, &sdk.CustomerParams{Name: sdk.String("B")})
	refused(t, err, 404, "resource_missing")
}

func TestAnUnpaidFirstInvoiceExpires(t *testing.T) {
	w := newWorld(t)
	customer := w.customer()
	sub := must(w.api.Subscriptions.New(&sdk.SubscriptionParams{Customer: &customer, PaymentBehavior: sdk.String("default_incomplete"),
		Items: []*sdk.SubscriptionItemsParams{{Price: &w.pro}}}))(t)
	w.is(sub.ID, "incomplete", w.pro)
	w.Advance(23 * time.Hour)
	w.is(sub.ID, "incomplete_expired", w.pro)
	if inv := w.sub(sub.ID).LatestInvoice; inv.Status != "void" {
		t.Errorf("its invoice is %s", inv.Status)
	}
}

// Stripe lets a subscription of which nothing is paid be canceled and little else,
// and does not promise that nobody pays its invoice after that.
func TestAnUnpaidFirstInvoiceStaysOpenBehindACancel(t *testing.T) {
	w := newWorld(t)
	customer := must(w.api.Customers.New(&sdk.CustomerParams{}))(t)
	sub := must(w.api.Subscriptions.New(&sdk.SubscriptionParams{Customer: &customer.ID, PaymentBehavior: sdk.String("default_incomplete"), Items: []*sdk.SubscriptionItemsParams{{Price: &w.pro}}}))(t)
	if _, err := w.api.Subscriptions.Update(sub.ID, &sdk.SubscriptionParams{CancelAtPeriodEnd: sdk.Bool(true)}); err == nil {
		t.Error("it ends with a period that is not paid")
	}
	if _, err := w.upgrade(sub.ID, w.enterprise); err == nil {
		t.Error("it is upgraded")
	}
	must(w.api.Subscriptions.Update(sub.ID, &sdk.SubscriptionParams{Metadata: map[string]string{"a": "b"}}))(t)
	must(w.api.Subscriptions.Cancel(sub.ID, nil))(t)
	if inv := w.Invoices(customer.ID)[0]; inv.Status != "open" || w.sub(sub.ID).Status != "canceled" {
		t.Errorf("%s of a subscription that is %s", inv.Status, w.sub(sub.ID).Status)
	}
}

func TestATrialEndsInAPaymentOrInAPause(t *testing.T) {
	for _, c := range []struct {
		why, card, missing, status, told string
	}{
		{"with a card", stripe.GoodCard, "", "active", "invoice.paid"},
		{"without one", "", "pause", "paused", "customer.subscription.paused"},
		{"without one", "", "cancel", "canceled", "customer.subscription.deleted"},
		{"without one", "", "create_invoice", "past_due", "invoice.payment_failed"},
	} {
		w := newWorld(t)
		customer := w.customer()
		p := &sdk.SubscriptionParams{Customer: &customer, TrialPeriodDays: sdk.Int64(14), Items: []*sdk.SubscriptionItemsParams{{Price: &w.pro}}}
		if c.card != "" {
			p.DefaultPaymentMethod = &c.card
		} else {
			p.TrialSettings = &sdk.SubscriptionTrialSettingsParams{EndBehavior: &sdk.SubscriptionTrialSettingsEndBehaviorParams{MissingPaymentMethod: &c.missing}}
		}
		sub := must(w.api.Subscriptions.New(p))(t)
		w.is(sub.ID, "trialing", w.pro)
		if sub.TrialEnd != start.Add(14*day).Unix() || sub.CurrentPeriodEnd != sub.TrialEnd {
			t.Errorf("the trial ends %d", sub.TrialEnd)
		}
		w.Advance(14*day + time.Hour)
		w.is(sub.ID, c.status, w.pro)
		told(t, w.deliver(), c.told, "customer.subscription.trial_will_end")
		if c.status == "paused" {
			must(w.api.PaymentMethods.Attach(stripe.GoodCard, &sdk.PaymentMethodAttachParams{Customer: &customer}))(t)
			must(w.api.Customers.Update(customer, &sdk.CustomerParams{InvoiceSettings: &sdk.CustomerInvoiceSettingsParams{DefaultPaymentMethod: sdk.String(stripe.GoodCard)}}))(t)
			must(w.api.Subscriptions.Resume(sub.ID, nil))(t)
			w.is(sub.ID, "active", w.pro)
		}
	}
}

func TestATestClockMovesItsCustomersAlone(t *testing.T) {
	w := newWorld(t)
	frozen := start.Unix()
	tc := must(w.api.TestHelpersTestClocks.New(&sdk.TestHelpersTestClockParams{FrozenTime: &frozen}))(t)
	c := must(w.api.Customers.New(&sdk.CustomerParams{TestClock: &tc.ID}))(t)
	if _, err := w.Checkout(w.checkout(c.ID, w.pro).ID, stripe.GoodCard); err != nil {
		t.Fatal(err)
	}
	_, other := w.subscribe(w.pro)
	to := start.Add(29 * day).Unix()
	must(w.api.TestHelpersTestClocks.Advance(tc.ID, &sdk.TestHelpersTestClockAdvanceParams{FrozenTime: &to}))(t)
	if moved, stayed := len(w.Invoices(c.ID)), len(w.Invoices(w.sub(other).Customer.ID)); moved != 2 || stayed != 1 {
		t.Errorf("%d invoices with the clock, %d without", moved, stayed)
	}
}

func TestRefundsAndDisputesAreTold(t *testing.T) {
	w := newWorld(t)
	customer, _ := w.subscribe(w.pro)
	w.deliver()
	inv := w.Invoices(customer)[0]
	if err := w.Dispute(inv.ID); err != nil {
		t.Fatal(err)
	}
	must(w.api.Refunds.New(&sdk.RefundParams{Charge: inv.Charge}))(t)
	told(t, w.deliver(), "charge.dispute.created", "charge.refunded")
	ch := must(w.api.Charges.Get(*inv.Charge, nil))(t)
	if ch.Customer.ID != customer || !ch.Refunded || !ch.Disputed {
		t.Errorf("%+v", ch)
	}
}

// refused makes sure of an error's status and code.
func refused(t *testing.T, err error, status int, code string) {
	t.Helper()
	var e *sdk.Error
	if !errors.As(err, &e) || e.HTTPStatusCode != status || (code != "" && string(e.Code) != code) || e.RequestID == "" {
		t.Fatalf("got %v, want %d %s", err, status, code)
	}
}

func TestACreditIsUsedUpBeforeTheCard(t *testing.T) {
	w := newWorld(t)
	customer, id := w.subscribe(w.enterprise)
	must(w.upgrade(id, w.pro))(t) // a downgrade at once, on the first second
	w.is(id, "active", w.pro)
	if c := must(w.api.Customers.Get(customer, nil))(t); c.Balance != 2900-19900 {
		t.Fatalf("the balance is %d", c.Balance)
	}
	w.Advance(28*day + time.Hour)
	inv := w.sub(id).LatestInvoice
	if inv.Total != 2900 || inv.AmountDue != 0 || inv.Status != "paid" || inv.Charge != nil || inv.EndingBalance != 2*2900-19900 {
		t.Errorf("%+v", inv)
	}
}

func TestAnUpgradeWithoutPendingUpdatesIsAppliedOrRefusedAtOnce(t *testing.T) {
	for _, c := range []struct {
		behavior string
		applied  bool
	}{{"allow_incomplete", true}, {"error_if_incomplete", false}} {
		w := newWorld(t)
		customer, id := w.subscribe(w.pro)
		_ = w.SetCard(customer, stripe.FailingCard)
		_, err := w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{Items: []*sdk.SubscriptionItemsParams{{ID: sdk.String(w.sub(id).Items.Data[0].ID), Price: &w.enterprise}},
			ProrationBehavior: sdk.String("always_invoice"), PaymentBehavior: &c.behavior})
		if c.applied {
			w.is(id, "past_due", w.enterprise)
			continue
		}
		refused(t, err, 402, "card_declined")
		w.is(id, "active", w.pro)
	}
}

func TestAPendingUpdateTakesNothingElse(t *testing.T) {
	w := newWorld(t)
	_, id := w.subscribe(w.pro)
	_, err := w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{Metadata: map[string]string{"a": "b"}, PaymentBehavior: sdk.String("pending_if_incomplete")})
	refused(t, err, 400, "")
}

func TestWhileCollectionIsPausedNothingIsCharged(t *testing.T) {
	for behavior, status := range map[string]sdk.InvoiceStatus{"void": "void", "keep_as_draft": "draft", "mark_uncollectible": "uncollectible"} {
		w := newWorld(t)
		_, id := w.subscribe(w.pro)
		must(w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{PauseCollection: &sdk.SubscriptionPauseCollectionParams{Behavior: &behavior}}))(t)
		w.Advance(29 * day)
		if sub := w.sub(id); sub.Status != "active" || sub.LatestInvoice.Status != status || sub.PauseCollection == nil {
			t.Errorf("%s: %s with an invoice %s", behavior, sub.Status, sub.LatestInvoice.Status)
		}
	}
}

func TestAnUpdateThatChangesNothingIsNoEvent(t *testing.T) {
	w := newWorld(t)
	_, id := w.subscribe(w.pro)
	w.deliver()
	must(w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{CancelAtPeriodEnd: sdk.Bool(false)}))(t)
	if got := w.deliver(); got != nil {
		t.Errorf("heard %v", got)
	}
	must(w.api.Subscriptions.Update(id, &sdk.SubscriptionParams{Metadata: map[string]string{"a": "b"}}))(t)
	told(t, w.deliver(), "customer.subscription.updated")
	previous := w.heard[len(w.heard)-1].Data.PreviousAttributes
	if len(previous) != 1 || previous["metadata"] == nil {
		t.Errorf("previous %v", previous)
	}
}
