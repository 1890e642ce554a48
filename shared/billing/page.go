package billing

import (
	"fmt"
	"strings"
	"time"
)

// Case is one row of the table: a subscription at a moment, and what it gives.
type Case struct {
	Subscription Subscription
	Moment       string // in words
	Now          time.Time
	Standing     Standing
}

// The subscriptions of the table.
var (
	owedSince = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	periodEnd = time.Date(2026, 4, 1, 11, 0, 0, 0, time.UTC)
)

// Cases makes every row: each status, with each paid plan, set to end or not, a
// second before, at and a second after the ends of period and grace.
func Cases(prices Prices) ([]Case, error) {
	var out []Case
	for _, status := range Statuses {
		for _, p := range []string{"pro", "enterprise"} {
			price, _ := prices.Of(p)
			for _, ends := range []bool{false, true} {
				sub := Subscription{ID: "sub_1", Status: status, Price: price, Created: owedSince.AddDate(0, -1, 0), PeriodEnd: periodEnd}
				if ends {
					sub.CancelAt = periodEnd
				}
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
					for offset, words := range []string{"1 s before ", "at ", "1 s after "} {
						now := b.at.Add(time.Duration(offset-1) * time.Second)
						s, err := Decide([]Subscription{sub}, prices, now)
						if err != nil {
							return nil, err
						}
						out = append(out, Case{sub, words + b.name, now, s})
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
	b.WriteString(`# What a subscription gives

Written by the test of package shared/billing from the code that decides; do not edit. Stripe's latest objects decide, however its webhooks arrive. The clock
decides one thing: after a failed payment the plan stays for 7 days, counted from when the oldest open invoice was first owed. A subscription that is set to end
keeps its plan until Stripe ends it. Of several subscriptions the one with the dearest plan decides, then the newest. Work that is queued over new limits waits;
work that runs ends normally.

| Stripe's status | price of | set to end | moment | plan | the tenant reads |
|---|---|---|---|---|---|
`)
	for _, c := range cases {
		name, ends := "pro", "no"
		if strings.Contains(c.Subscription.Price, "enterprise") {
			name = "enterprise"
		}
		if !c.Subscription.CancelAt.IsZero() {
			ends = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", c.Subscription.Status, name, ends, c.Moment, c.Standing.Plan, c.Standing.Sentence)
	}
	return b.String()
}
