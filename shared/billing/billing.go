// Package billing decides what a tenant may do from what Stripe's latest objects
// say, and from nothing else: no order of events matters, and asking again gives
// the same answer. docs/billing.md is the table that it makes.
//
// Stripe's word on a subscription's status is final; Outpost's clock decides one
// thing alone, the end of the grace that an unpaid renewal has.
package billing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"outpost/shared/plan"
)

// Grace is how long a tenant keeps its plan after a payment has failed.
const Grace = 7 * 24 * time.Hour

// Status is Stripe's status of a subscription.
type Status string

// Stripe's statuses.
const (
	Trialing          Status = "trialing"
	Active            Status = "active"
	PastDue           Status = "past_due"
	Unpaid            Status = "unpaid"
	Paused            Status = "paused"
	Incomplete        Status = "incomplete"
	IncompleteExpired Status = "incomplete_expired"
	Canceled          Status = "canceled"
)

// Statuses lists them all.
var Statuses = []Status{Trialing, Active, PastDue, Unpaid, Paused, Incomplete, IncompleteExpired, Canceled}

// Over tells whether a subscription with this status has ended for ever.
func (s Status) Over() bool { return s == Canceled || s == IncompleteExpired }

// Subscription is what matters of one of Stripe's.
type Subscription struct {
	ID          string
	Status      Status
	Price       string // of its first item
	Created     time.Time
	PeriodEnd   time.Time
	CancelAt    time.Time // zero unless it is to end
	UnpaidSince time.Time // when the oldest invoice that is still open was first owed; zero for none
	Next        string    // price that it changes to at the period's end; empty for none
	NextAt      time.Time // when
	Wanted      string    // price that it changes to once that is paid; empty for none
	WantedUntil time.Time // when that is given up
}

// Price is one of Stripe's, and the plan that it gives.
type Price struct{ ID, Plan string }

// Prices is the one table of Stripe's prices. The first of a plan is the one that
// is sold. The others are of the past: who pays one keeps the plan, and nobody
// begins to.
type Prices []Price

// ParsePrices reads price=plan pairs, comma separated. Every paid plan has a
// price, no other plan has any, and a price has one plan.
func ParsePrices(text string) (Prices, error) {
	var prices Prices
	for pair := range strings.SplitSeq(text, ",") {
		price, name, ok := strings.Cut(strings.TrimSpace(pair), "=")
		p, known := plan.Lookup(name)
		switch {
		case !ok || price == "":
			return nil, fmt.Errorf("%q is not price=plan", pair)
		case !known || p.PriceUSD == 0:
			return nil, fmt.Errorf("%q is no plan that is paid for", name)
		case prices.Plan(price) != "":
			return nil, fmt.Errorf("%q: the price is there already, and gives one plan", pair)
		}
		prices = append(prices, Price{price, name})
	}
	for _, p := range plan.All() {
		if _, sold := prices.Of(p.Name); p.PriceUSD > 0 && !sold {
			return nil, fmt.Errorf("the plan %s has no price", p.Name)
		}
	}
	return prices, nil
}

// String writes the table as ParsePrices reads it, plan by plan.
func (p Prices) String() string {
	var pairs []string
	for _, of := range plan.All() {
		for _, price := range p {
			if price.Plan == of.Name {
				pairs = append(pairs, price.ID+"="+price.Plan)
			}
		}
	}
	return strings.Join(pairs, ",")
}

// Of returns the price that a plan is sold at, and whether it has one.
func (p Prices) Of(name string) (price string, ok bool) {
	i := slices.IndexFunc(p, func(price Price) bool { return price.Plan == name })
	if i < 0 {
		return "", false
	}
	return p[i].ID, true
}

// Plan returns the plan that a price gives; empty for none.
func (p Prices) Plan(price string) string {
	i := slices.IndexFunc(p, func(is Price) bool { return is.ID == price })
	if i < 0 {
		return ""
	}
	return p[i].Plan
}

// Past are the prices that still give their plan and are not sold any more.
func (p Prices) Past() (past Prices) {
	for _, price := range p {
		if sold, _ := p.Of(price.Plan); sold != price.ID {
			past = append(past, price)
		}
	}
	return past
}

// Standing is how a tenant stands with Stripe.
type Standing struct {
	Plan         string
	Status       Status // of the subscription that decides; empty without one
	Subscription string
	PeriodEnd    time.Time // zero without a subscription that goes on
	GraceUntil   time.Time // zero unless a payment is missing
	Next         string    // plan that it changes to; empty for none
	NextAt       time.Time // when; for a change that waits to be paid, when it is given up
	NextUnpaid   bool      // the change waits to be paid
	Sentence     string    // why, and until when
}

// Living tells whether the subscription that decides has not ended.
func (s Standing) Living() bool { return s.Status != "" && !s.Status.Over() }

// Account is what Stripe has of a customer at one moment.
type Account struct {
	Deleted       bool
	Subscriptions []Subscription // those that ended too
}

// Stand returns the standing that an account gives at a time, as Decide does; a
// customer who was deleted pays for nothing.
func (a Account) Stand(prices Prices, now time.Time) (Standing, error) {
	if a.Deleted {
		return Standing{Plan: free, Sentence: "The customer was deleted at Stripe: the free plan until a new Checkout."}, nil
	}
	return Decide(a.Subscriptions, prices, now)
}

// Living are the subscriptions that have not ended.
func (a Account) Living() (living []Subscription) {
	for _, s := range a.Subscriptions {
		if !s.Status.Over() {
			living = append(living, s)
		}
	}
	return living
}

// free is the plan of those who do not pay.
const free = "free"

// Decide returns the standing that subscriptions give at a time. Of several the
// one with the dearest plan decides, then one that has not ended, then the newest. A living subscription to a
// price that the table does not have is an error: no plan is guessed.
func Decide(subs []Subscription, prices Prices, now time.Time) (Standing, error) {
	best := Standing{Plan: free, Sentence: "No subscription: the free plan."}
	var decided Subscription
	for _, sub := range subs {
		s, err := stand(sub, prices, now)
		if err != nil {
			return Standing{}, err
		}
		before := cmp.Or(Cost(s.Plan)-Cost(best.Plan), living(sub)-living(decided), sub.Created.Compare(decided.Created), cmp.Compare(sub.ID, decided.ID))
		if decided.ID == "" || before > 0 {
			best, decided = s, sub
		}
	}
	best.beside(decided, subs)
	return best, nil
}

// living is 1 for a subscription that has not ended, else 0.
func living(s Subscription) int {
	if s.Status.Over() {
		return 0
	}
	return 1
}

// beside adds that others go on beside the subscription that decides: there should
// be none, and each is charged.
func (s *Standing) beside(decides Subscription, subs []Subscription) {
	others := 0
	for _, sub := range subs {
		if sub.ID != decides.ID && !sub.Status.Over() && sub.CancelAt.IsZero() {
			others++
		}
	}
	if others > 0 {
		s.Sentence += fmt.Sprintf(" Subscriptions that go on beside this one: %d. End each in the billing portal, or all by the plan %s.", others, free)
	}
}

// Unknown is what of Stripe's objects the settings do not explain, in a sentence.
type Unknown string

func (u Unknown) Error() string { return string(u) }

func unknown(format string, args ...any) error { return Unknown(fmt.Sprintf(format, args...)) }

// Facts are what a standing says, by name; empty where it says nothing.
func (s Standing) Facts() map[string]string {
	facts := map[string]string{"subscription": s.Subscription, "status": string(s.Status), "standing": s.Sentence}
	for name, at := range map[string]time.Time{"period_end": s.PeriodEnd, "grace_until": s.GraceUntil} {
		if !at.IsZero() {
			facts[name] = at.UTC().Format(time.RFC3339)
		}
	}
	return facts
}

// Cost is what a plan costs, in dollars a month; 0 for one that there is not.
func Cost(name string) int {
	p, _ := plan.Lookup(name)
	return p.PriceUSD
}

// stand is the standing that one subscription gives.
func stand(sub Subscription, prices Prices, now time.Time) (Standing, error) {
	s := Standing{Plan: free, Status: sub.Status, Subscription: sub.ID, PeriodEnd: sub.PeriodEnd}
	paid := prices.Plan(sub.Price)
	if paid == "" && !sub.Status.Over() {
		return s, unknown("the subscription %s has the price %q, which no plan has", sub.ID, sub.Price)
	}
	switch sub.Status {
	case Trialing:
		s.Plan, s.Sentence = paid, fmt.Sprintf("The trial of the %s plan ends %s.", paid, date(sub.PeriodEnd))
	case Active:
		s.Plan, s.Sentence = paid, fmt.Sprintf("The %s plan renews %s.", paid, date(sub.PeriodEnd))
	case PastDue:
		s.GraceUntil = sub.UnpaidSince.Add(Grace)
		if now.Before(s.GraceUntil) {
			s.Plan, s.Sentence = paid, fmt.Sprintf("A payment failed: the %s plan stays until %s, then it is the free plan. Update the card in the billing portal.", paid, date(s.GraceUntil))
		} else {
			s.Sentence = fmt.Sprintf("A payment failed and the grace ended %s: the free plan until it is paid.", date(s.GraceUntil))
		}
	case Unpaid:
		s.Sentence = fmt.Sprintf("The invoice of the %s plan was not paid: the free plan until it is.", paid)
	case Paused:
		s.Sentence = fmt.Sprintf("The %s plan is paused for want of a card: the free plan until it is resumed.", paid)
	case Incomplete:
		s.Sentence = fmt.Sprintf("The first payment of the %s plan is not made yet: the free plan until it is.", paid)
	case IncompleteExpired:
		s.PeriodEnd, s.Sentence = time.Time{}, "The first payment was never made: the free plan."
	case Canceled:
		s.PeriodEnd, s.Sentence = time.Time{}, "The subscription has ended: the free plan."
	default:
		return s, unknown("the subscription %s has the status %q, which Outpost does not know", sub.ID, sub.Status)
	}
	if s.Plan != free {
		s.change(sub, prices)
	}
	return s, nil
}

// change adds what a subscription that gives a plan is to become. That a payment
// is missing stays the sentence: it comes first.
func (s *Standing) change(sub Subscription, prices Prices) {
	sentence := s.Sentence
	switch next, wanted := prices.Plan(sub.Next), prices.Plan(sub.Wanted); {
	case !sub.CancelAt.IsZero():
		s.Next, s.NextAt = free, sub.CancelAt
		sentence = fmt.Sprintf("The %s plan is canceled and ends %s.", s.Plan, date(sub.CancelAt))
	case next != "":
		s.Next, s.NextAt = next, sub.NextAt
		sentence = fmt.Sprintf("The %s plan becomes the %s plan %s.", s.Plan, next, date(sub.NextAt))
	case wanted != "":
		s.Next, s.NextAt, s.NextUnpaid = wanted, sub.WantedUntil, true
		sentence = fmt.Sprintf("The %s plan renews %s. The %s plan begins once it is paid: pay its invoice in the billing portal until %s.", s.Plan, date(sub.PeriodEnd), wanted, date(sub.WantedUntil))
	}
	if sub.Status != PastDue {
		s.Sentence = sentence
	}
}

// date is a time as sentences give it.
func date(t time.Time) string { return t.UTC().Format("2 January 2006 15:04 MST") }
