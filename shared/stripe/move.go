package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/shared/billing"
)

// Move moves a subscription that has not ended to a price, as billing.MoveTo has
// decided; Stay and Leave need no price. It may be made again, and at once with
// others: each call of Stripe's is left out where its effect is there already, and
// the last wish is what stays. A move that waits to be paid is no error: the
// subscription tells of it. billing.ErrUnpaid means that Stripe did not let it wait.
func (c *Client) Move(ctx context.Context, subscription string, m billing.Move, price string) error {
	var err error
	for range rounds {
		if err = c.move(ctx, subscription, m, price); !refused(err) {
			break
		}
	}
	var declined *sdk.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &declined) && declined.Type == sdk.ErrorTypeCard:
		return fmt.Errorf("change the subscription %s: %w: %s", subscription, billing.ErrUnpaid, declined.Code)
	}
	return fmt.Errorf("change the subscription %s: %w", subscription, err)
}

// refused tells whether Stripe found the subscription otherwise than it was read:
// another was faster.
func refused(err error) bool {
	var e *sdk.Error
	return errors.Is(err, errAgain) || errors.As(err, &e) && (e.HTTPStatusCode == http.StatusBadRequest || e.HTTPStatusCode == http.StatusNotFound || e.HTTPStatusCode == http.StatusConflict)
}

func (c *Client) move(ctx context.Context, subscription string, m billing.Move, price string) error {
	get := &sdk.SubscriptionParams{}
	get.Context = ctx
	get.AddExpand("schedule")
	get.AddExpand("latest_invoice")
	s, err := c.api.Subscriptions.Get(subscription, get)
	if err != nil {
		return err
	}
	if _, err := c.subscription(ctx, s); err != nil { // decoded wrongly
		return err
	}
	switch m {
	case billing.Stay:
		return c.stay(ctx, s)
	case billing.Rise:
		return c.rise(ctx, s, price)
	case billing.Fall:
		return c.fall(ctx, s, price)
	case billing.Leave:
		return c.leave(ctx, s)
	}
	return fmt.Errorf("there is no move %q", m)
}

// stay takes back what was to come.
func (c *Client) stay(ctx context.Context, s *sdk.Subscription) error {
	if err := c.unwant(ctx, s); err != nil {
		return err
	}
	if err := c.release(ctx, s); err != nil {
		return err
	}
	return c.goOn(ctx, s)
}

// unwant gives up a change that waits to be paid: its invoice can be paid no more.
func (c *Client) unwant(ctx context.Context, s *sdk.Subscription) error {
	inv := s.LatestInvoice
	if s.PendingUpdate == nil || inv == nil || inv.Status != sdk.InvoiceStatusOpen || inv.BillingReason != sdk.InvoiceBillingReasonSubscriptionUpdate {
		return nil
	}
	p := &sdk.InvoiceVoidInvoiceParams{}
	p.Context = ctx
	_, err := c.api.Invoices.VoidInvoice(inv.ID, p)
	return err
}

func (c *Client) goOn(ctx context.Context, s *sdk.Subscription) error {
	p := &sdk.SubscriptionParams{}
	switch {
	case s.CancelAtPeriodEnd:
		p.CancelAtPeriodEnd = sdk.Bool(false)
	case s.CancelAt != 0: // a day that somebody set in Stripe's dashboard
		p.AddExtra("cancel_at", "")
	default:
		return nil
	}
	p.Context = ctx
	_, err := c.api.Subscriptions.Update(s.ID, p)
	return err
}

// release takes a schedule off the subscription, which goes on as it is.
func (c *Client) release(ctx context.Context, s *sdk.Subscription) error {
	if s.Schedule == nil {
		return nil
	}
	p := &sdk.SubscriptionScheduleReleaseParams{}
	p.Context = ctx
	_, err := c.api.SubscriptionSchedules.Release(s.Schedule.ID, p)
	return err
}

// leave ends a subscription with what is paid of it. Where nothing is, that is now:
// Stripe has nothing else set of such a one.
func (c *Client) leave(ctx context.Context, s *sdk.Subscription) error {
	if s.Status == sdk.SubscriptionStatusIncomplete {
		return c.giveUp(ctx, []string{s.ID})
	}
	if err := c.unwant(ctx, s); err != nil {
		return err
	}
	if s.CancelAt != 0 && s.CancelAt <= s.CurrentPeriodEnd {
		return nil
	}
	if err := c.release(ctx, s); err != nil {
		return err
	}
	p := &sdk.SubscriptionParams{CancelAtPeriodEnd: sdk.Bool(true)}
	p.Context = ctx
	_, err := c.api.Subscriptions.Update(s.ID, p)
	return err
}

// rise charges the difference for the rest of the period and changes the price
// once it is paid. It is the one call that costs money, and is not made for a
// price that is there: who makes it twice is charged once.
func (c *Client) rise(ctx context.Context, s *sdk.Subscription, price string) error {
	if err := c.stay(ctx, s); err != nil {
		return err
	}
	item := s.Items.Data[0]
	if item.Price.ID == price {
		return nil
	}
	p := &sdk.SubscriptionParams{Items: []*sdk.SubscriptionItemsParams{{ID: &item.ID, Price: &price}},
		ProrationBehavior: sdk.String("always_invoice"), PaymentBehavior: sdk.String("pending_if_incomplete")}
	p.Context = ctx
	_, err := c.api.Subscriptions.Update(s.ID, p)
	return err
}

// fall changes the price at the period's end, by a schedule that then lets go.
func (c *Client) fall(ctx context.Context, s *sdk.Subscription, price string) error {
	sch, clear := s.Schedule, c.unwant
	if s.CancelAt != 0 {
		sch, clear = nil, c.stay
	}
	if err := clear(ctx, s); err != nil {
		return err
	}
	if sch != nil && priceAfter(sch) == price {
		return nil
	}
	if sch != nil && (len(sch.Phases) == 0 || sch.CurrentPhase == nil || sch.Phases[0].StartDate != sch.CurrentPhase.StartDate) {
		if err := c.release(ctx, s); err != nil { // it is in the month after an earlier change
			return err
		}
		sch = nil
	}
	if sch == nil {
		made := &sdk.SubscriptionScheduleParams{FromSubscription: &s.ID}
		made.Context = ctx
		var err error
		if sch, err = c.api.SubscriptionSchedules.New(made); err != nil {
			return err
		}
	}
	is := sch.Phases[0]
	p := &sdk.SubscriptionScheduleParams{EndBehavior: sdk.String(string(sdk.SubscriptionScheduleEndBehaviorRelease)), ProrationBehavior: sdk.String("none"),
		Phases: []*sdk.SubscriptionSchedulePhaseParams{
			{Items: []*sdk.SubscriptionSchedulePhaseItemParams{{Price: &s.Items.Data[0].Price.ID, Quantity: sdk.Int64(1)}}, StartDate: &is.StartDate, EndDate: &is.EndDate},
			{Items: []*sdk.SubscriptionSchedulePhaseItemParams{{Price: &price, Quantity: sdk.Int64(1)}}, Iterations: sdk.Int64(1), ProrationBehavior: sdk.String("none")},
		}}
	p.Context = ctx
	_, err := c.api.SubscriptionSchedules.Update(sch.ID, p)
	return err
}

// priceAfter is the price of the phase that follows a schedule's current one;
// empty where none does.
func priceAfter(sch *sdk.SubscriptionSchedule) string {
	if sch.Status != sdk.SubscriptionScheduleStatusActive || sch.CurrentPhase == nil {
		return ""
	}
	for _, p := range sch.Phases {
		if p.StartDate == sch.CurrentPhase.EndDate && len(p.Items) > 0 && p.Items[0].Price != nil {
			return p.Items[0].Price.ID
		}
	}
	return ""
}
