package billing

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Case is one row of the table: a subscription at a moment, and what it gives.
type Case struct {
	Subscription Subscription
	Price        string // in words
	Will         string // what it is set to do, in words
	Moment       string // in words
	Now          time.Time
	Standing     Standing
}

// The subscriptions of the table.
var (
	owedSince = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	periodEnd = time.Date(2026, 4, 1, 11, 0, 0, 0, time.UTC)
	givenUp   = time.Date(2026, 3, 15, 9, 0, 0, 0, time.UTC)
)

// wills are what a subscription of a plan can be set to do.
func wills(name string, prices Prices) (words []string, set map[string]func(*Subscription)) {
	pro, _ := prices.Of("pro")
	enterprise, _ := prices.Of("enterprise")
	set = map[string]func(*Subscription){
		"go on":                       func(*Subscription) {},
		"end":                         func(s *Subscription) { s.CancelAt = periodEnd },
		"become pro":                  func(s *Subscription) { s.Next, s.NextAt = pro, periodEnd },
		"become enterprise once paid": func(s *Subscription) { s.Wanted, s.WantedUntil = enterprise, givenUp },
	}
	if name == "enterprise" {
		return []string{"go on", "end", "become pro"}, set
	}
	return []string{"go on", "end", "become enterprise once paid"}, set
}

// Cases makes every row: each status, with each price that is sold, set to do each
// thing that it can be, and with each price of the past, a second before, at and a
// second after the ends of period and grace.
func Cases(prices Prices) ([]Case, error) {
	var out []Case
	for _, status := range Statuses {
		for _, p := range prices {
			words, set := wills(p.Plan, prices)
			name := p.Plan
			if slices.Contains(prices.Past(), p) {
				name, words = p.Plan+", of the past", words[:1]
			}
			for _, will := range words {
				sub := Subscription{ID: "sub_1", Status: status, Price: p.ID, Created: owedSince.AddDate(0, -1, 0), PeriodEnd: periodEnd}
				set[will](&sub)
				boundaries := []struct {
					name string
					at   time.Time
				}{{"the period's end", periodEnd}}
				if status == PastDue {
					sub.UnpaidSince = owedSince
					boundaries = append(boundaries, struct {
						name string
						at   time.Time
					}{"the grace's end", owedSince.Add(Grace)})
				}
				for _, b := range boundaries {
					for offset, when := range []string{"1 s before ", "at ", "1 s after "} {
						now := b.at.Add(time.Duration(offset-1) * time.Second)
						s, err := Decide([]Subscription{sub}, prices, now)
						if err != nil {
							return nil, err
						}
						out = append(out, Case{sub, name, will, when + b.name, now, s})
					}
				}
			}
		}
	}
	return out, nil
}

// Page is docs/billing.md.
func Page(cases []Case) string {
	var b strings.Builder
	b.WriteString(`# Billing: what a subscription gives

Written by the test of package shared/billing from the code that decides; do not edit. Stripe's latest objects decide, however its webhooks arrive. The clock
decides one thing: after a failed payment the plan stays for 7 days, counted from when the oldest open invoice was first owed. Of several subscriptions the one
with the dearest plan decides, then one that has not ended, then the newest.

A tenant begins with ` + "`POST /v1/billing/checkout`" + ` (` + "`outpost billing checkout PLAN`" + `), on a page of Stripe's, and is on the plan when it comes back from there. From then on it says which
plan it wants by ` + "`POST /v1/billing/plan`" + ` (` + "`outpost billing plan PLAN`" + `), as often as it likes; ` + "`GET /v1/billing`" + ` has the sentence of the table.

- **A dearer plan** begins at once. The difference for the rest of the period is charged; where the card fails, the plan stays as it was, and the dearer one begins if
  its invoice is paid in the billing portal within 23 hours.
- **A cheaper plan** begins at the end of the period.
- **The plan free** ends every subscription at the end of its period, and at once one of which nothing was paid. Until Stripe ends it the plan stays.
- **The plan that there is** takes back an end, or a cheaper plan, that was to come. It changes no price.
- **A price of the past**, at which a plan is not sold any more, gives the plan for as long as it is paid. A change to another plan is to the price that is sold, and so is the way back.
- **Cards, invoices and what is owed** are in the billing portal (` + "`POST /v1/billing/portal`" + `, ` + "`outpost billing portal`" + `). Who owes for one paid plan cannot change to another before that is paid.

The plan moves on every key of the tenant in the same transaction; an answer of the authorizer that is 60 seconds old is the oldest that is obeyed. Work that is queued over
new limits waits; work that runs ends normally. A plan that the operator has given is not Stripe's to change, nor the tenant's; and the operator takes over none while
a subscription lives, which would go on costing and give nothing.

| Stripe's status | price of | set to | moment | plan | the tenant reads |
|---|---|---|---|---|---|
`)
	for _, c := range cases {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", c.Subscription.Status, c.Price, c.Will, c.Moment, c.Standing.Plan, c.Standing.Sentence)
	}
	return b.String()
}
