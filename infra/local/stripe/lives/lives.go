// Package lives has customers of the stand-in for Stripe live as real ones do: they
// subscribe, change their minds, fail to pay, pay, leave and come back. It also
// tells, by rules of its own, what plan each of them has paid for.
package lives

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"path"
	"time"

	sdk "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	standin "outpost/infra/local/stripe"
	"outpost/shared/billing"
	"outpost/shared/platform"
	"outpost/shared/stripe"
)

// Shop is a stand-in with what is sold there.
type Shop struct {
	Fake   *standin.Server
	API    *client.API // Stripe's own, for what Outpost has no call for
	Prices billing.Prices

	base string
	keys platform.Stripe
}

// New returns the shop of a stand-in that listens at base.
func New(fake *standin.Server, base string, keys platform.Stripe, prices billing.Prices) *Shop {
	config := &sdk.BackendConfig{URL: &base, MaxNetworkRetries: sdk.Int64(2), LeveledLogger: &sdk.LeveledLogger{Level: sdk.LevelNull}, HTTPClient: &http.Client{}, EnableTelemetry: sdk.Bool(false)}
	backend := sdk.GetBackendWithConfig(sdk.APIBackend, config)
	return &Shop{fake, client.New(keys.Key, &sdk.Backends{API: backend, Connect: backend, Uploads: backend}), prices, base, keys}
}

// price is what a plan costs a month, by its id.
func (s *Shop) price(plan string) *string {
	id, _ := s.Prices.Of(plan)
	return &id
}

// Subscribe has a customer pay for a plan on a page that Outpost opens. An error is
// a page that cannot be had: the caller is no customer any more, or pays already.
func (s *Shop) Subscribe(customer, plan, card string) error {
	page, err := s.open(customer, plan)
	if err != nil {
		return err
	}
	_, err = s.Fake.Checkout(path.Base(page), card)
	return err
}

// open has Outpost open a page.
func (s *Shop) open(customer, plan string) (page string, err error) {
	outpost, err := stripe.New(stripe.Options{Keys: s.keys, Base: s.base, Retries: 2})
	if err != nil {
		return "", err
	}
	return outpost.Open(context.Background(), stripe.Checkout{Tenant: customer, Customer: customer, Price: *s.price(plan), SuccessURL: "https://a.example/"})
}

// ByHand makes a page of Checkout past Outpost, as somebody at Stripe's dashboard
// does.
func (s *Shop) ByHand(customer, plan string) (page string, err error) {
	made, err := s.API.CheckoutSessions.New(&sdk.CheckoutSessionParams{Customer: &customer, Mode: sdk.String("subscription"), SuccessURL: sdk.String("https://a.example/"),
		LineItems: []*sdk.CheckoutSessionLineItemParams{{Price: s.price(plan), Quantity: sdk.Int64(1)}}})
	if err != nil {
		return "", err
	}
	return made.URL, nil
}

// TryAgain has a customer whose first payment is not made go through Checkout
// instead, and pay what is still asked for besides: before the page, and after it.
func (s *Shop) TryAgain(customer, plan string) error {
	page, err := s.open(customer, plan)
	if err != nil {
		return err
	}
	if err := s.Pay(customer); err != nil {
		return err
	}
	if _, err := s.Fake.Checkout(path.Base(page), standin.GoodCard); err != nil {
		return err
	}
	return s.Pay(customer)
}

// Try has a customer begin a trial of a plan, without a card; at its end the
// subscription is paused.
func (s *Shop) Try(customer, plan string, days int64) error {
	_, err := s.API.Subscriptions.New(&sdk.SubscriptionParams{Customer: &customer, TrialPeriodDays: &days, Items: []*sdk.SubscriptionItemsParams{{Price: s.price(plan)}},
		TrialSettings: &sdk.SubscriptionTrialSettingsParams{EndBehavior: &sdk.SubscriptionTrialSettingsEndBehaviorParams{MissingPaymentMethod: sdk.String("pause")}}})
	return err
}

// Begin makes a subscription whose first payment is not made.
func (s *Shop) Begin(customer, plan string) error {
	_, err := s.API.Subscriptions.New(&sdk.SubscriptionParams{Customer: &customer, PaymentBehavior: sdk.String("default_incomplete"), Items: []*sdk.SubscriptionItemsParams{{Price: s.price(plan)}}})
	return err
}

// Living is the subscription of a customer that goes on, and whether there is one.
func (s *Shop) Living(customer string) (sub standin.Subscription, ok bool) {
	for _, sub := range s.Fake.Subscriptions(customer) {
		if sub.Status != "canceled" && sub.Status != "incomplete_expired" {
			return sub, true
		}
	}
	return sub, false
}

// Upgrade changes a plan at once, for what the rest of the period costs.
func (s *Shop) Upgrade(sub standin.Subscription, plan string) error {
	_, err := s.API.Subscriptions.Update(sub.ID, &sdk.SubscriptionParams{Items: []*sdk.SubscriptionItemsParams{{ID: &sub.Items.Data[0].ID, Price: s.price(plan)}},
		ProrationBehavior: sdk.String("always_invoice"), PaymentBehavior: sdk.String("pending_if_incomplete")})
	return err
}

// Downgrade changes a plan at the period's end, by a schedule.
func (s *Shop) Downgrade(sub standin.Subscription, plan string) error {
	made, err := s.API.SubscriptionSchedules.New(&sdk.SubscriptionScheduleParams{FromSubscription: &sub.ID})
	if err != nil {
		return err
	}
	now := made.Phases[0]
	_, err = s.API.SubscriptionSchedules.Update(made.ID, &sdk.SubscriptionScheduleParams{EndBehavior: sdk.String("release"), Phases: []*sdk.SubscriptionSchedulePhaseParams{
		{Items: []*sdk.SubscriptionSchedulePhaseItemParams{{Price: &now.Items[0].Price.ID, Quantity: sdk.Int64(1)}}, StartDate: &now.StartDate, EndDate: &now.EndDate},
		{Items: []*sdk.SubscriptionSchedulePhaseItemParams{{Price: s.price(plan), Quantity: sdk.Int64(1)}}, Iterations: sdk.Int64(1)},
	}})
	return err
}

// CancelAtEnd has a subscription end with its period, or go on after all.
func (s *Shop) CancelAtEnd(sub standin.Subscription, yes bool) error {
	_, err := s.API.Subscriptions.Update(sub.ID, &sdk.SubscriptionParams{CancelAtPeriodEnd: &yes})
	return err
}

// End ends a subscription now.
func (s *Shop) End(sub standin.Subscription) error {
	_, err := s.API.Subscriptions.Cancel(sub.ID, nil)
	return err
}

// Pay pays the oldest open invoice of a customer by a good card.
func (s *Shop) Pay(customer string) error {
	all := s.Fake.Invoices(customer)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Status == "open" {
			_, err := s.API.Invoices.Pay(all[i].ID, &sdk.InvoicePayParams{PaymentMethod: sdk.String(standin.GoodCard)})
			return err
		}
	}
	return nil
}

// Contest has a customer dispute a payment, which is given back.
func (s *Shop) Contest(customer string) error {
	for _, inv := range s.Fake.Invoices(customer) {
		if inv.Charge == nil {
			continue
		}
		if err := s.Fake.Dispute(inv.ID); err != nil {
			return err
		}
		_, err := s.API.Refunds.New(&sdk.RefundParams{Charge: inv.Charge})
		return err
	}
	return nil
}

// Delete deletes a customer, as somebody at Stripe's dashboard would.
func (s *Shop) Delete(customer string) error {
	_, err := s.API.Customers.Del(customer, nil)
	return err
}

// Step has a customer do one thing that the customer can do now, and returns its
// name: "refused" where Stripe refused it, or did not answer.
func (s *Shop) Step(random *rand.Rand, customer string) (name string) {
	name, err := s.step(random, customer)
	if err != nil {
		return "refused"
	}
	return name
}

func (s *Shop) step(random *rand.Rand, customer string) (string, error) {
	sub, living := s.Living(customer)
	if !living {
		switch plan := []string{"pro", "enterprise"}[random.IntN(2)]; random.IntN(8) {
		case 0:
			return "trial", s.Try(customer, plan, 5)
		case 1, 2:
			return "first payment missing", s.Begin(customer, plan)
		default:
			return "checkout", s.Subscribe(customer, plan, standin.GoodCard)
		}
	}
	if sub.Status == "incomplete" && random.IntN(2) == 0 {
		return "checkout after a first payment that is missing", s.TryAgain(customer, "enterprise")
	}
	pro := s.Prices.Plan(sub.Items.Data[0].Price) == "pro"
	switch n := random.IntN(20); {
	case n < 5 && pro:
		return "upgrade", s.Upgrade(sub, "enterprise")
	case n < 5:
		return "downgrade", s.Downgrade(sub, "pro")
	case n < 8:
		return "failing card", s.Fake.SetCard(customer, standin.FailingCard)
	case n < 11:
		if err := s.Fake.SetCard(customer, standin.GoodCard); err != nil {
			return "good card", err
		}
		return "recovery", s.Pay(customer)
	case n < 16:
		name := map[bool]string{true: "resume", false: "cancel"}[sub.CancelAtPeriodEnd]
		return name, s.CancelAtEnd(sub, !sub.CancelAtPeriodEnd)
	case n < 18:
		return "dispute", s.Contest(customer)
	case n < 19:
		return "end", s.End(sub)
	default:
		return "deletion", s.Delete(customer)
	}
}

// Truth is what a customer has paid for.
type Truth struct {
	Plan         string
	Status       string // of the subscription that goes on; empty for none
	Subscription string
	PeriodEnd    time.Time
	Twice        string // which subscriptions were ever charged for the same time; empty for none
}

// Truth tells what a customer has paid for at a time, from the stand-in's own
// objects: not by Outpost's client, nor by its rules.
func (s *Shop) Truth(customer string, now time.Time) Truth {
	sub, living := s.Living(customer)
	if !living {
		return Truth{Plan: "free", Twice: s.twice(customer)}
	}
	truth := Truth{Plan: "free", Twice: s.twice(customer), Status: sub.Status, Subscription: sub.ID, PeriodEnd: time.Unix(sub.CurrentPeriodEnd, 0).UTC()}
	paid := sub.Status == "active" || sub.Status == "trialing"
	if sub.Status == "past_due" {
		owed := sub.CurrentPeriodStart
		for _, inv := range s.Fake.Invoices(customer) { // newest first
			if at := inv.StatusTransitions.FinalizedAt; inv.Status == "open" && inv.Subscription != nil && *inv.Subscription == sub.ID && at != nil {
				owed = *at
			}
		}
		paid = now.Before(time.Unix(owed, 0).AddDate(0, 0, 7))
	}
	if paid {
		truth.Plan = s.Prices.Plan(sub.Items.Data[0].Price)
	}
	return truth
}

// twice finds two subscriptions of a customer of which each was charged while the
// other, which had been charged, went on.
func (s *Shop) twice(customer string) string {
	paid := map[string]int64{}                      // when each was first charged
	for _, inv := range s.Fake.Invoices(customer) { // newest first
		if at := inv.StatusTransitions.PaidAt; inv.Subscription != nil && at != nil && inv.AmountPaid > 0 {
			paid[*inv.Subscription] = *at
		}
	}
	type span struct {
		id          string
		from, until int64
	}
	var spans []span
	for _, sub := range s.Fake.Subscriptions(customer) {
		from, charged := paid[sub.ID]
		if !charged {
			continue
		}
		is := span{sub.ID, from, math.MaxInt64}
		if sub.EndedAt != nil {
			is.until = *sub.EndedAt
		}
		for _, other := range spans {
			if is.from < other.until && other.from < is.until {
				return fmt.Sprintf("%s and %s were charged for the same time", is.id, other.id)
			}
		}
		spans = append(spans, is)
	}
	return ""
}
