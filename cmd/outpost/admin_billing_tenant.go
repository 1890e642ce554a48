package main

import (
	"fmt"
	"time"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
)

type adminBillingShowCommand struct {
	Tenant tenantID `arg:"" help:"Id of the tenant, ten_…"`
	JSON   bool     `name:"json" help:"Write the API's answer as one JSON object."`
}

// Run shows both sides, a field a line, and marks what differs.
func (c *adminBillingShowCommand) Run(s *session) error {
	b, err := s.api.TenantBilling(s.ctx, string(c.Tenant))
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(b)
	}
	differs := map[string]bool{}
	for _, d := range b.Differences {
		differs[d.Field] = true
	}
	rows := [][]table.Cell{}
	row := func(field, name, recorded, stripe string) {
		mark := table.Cell{}
		if differs[field] {
			mark = table.Cell{Text: "differs", Style: table.Strong}
		}
		rows = append(rows, []table.Cell{{Text: name}, {Text: recorded}, {Text: stripe}, mark})
	}
	r, st := b.Recorded, client.StripeBilling{}
	if b.Stripe != nil {
		st = *b.Stripe
	}
	customer := st.Customer
	if st.Deleted {
		customer += " (deleted)"
	}
	row("plan", "plan", b.Plan+" ("+b.PlanSource+")", st.Plan)
	row("customer", "customer", r.Customer, customer)
	row("subscription", "subscription", r.Subscription, st.Subscription)
	row("status", "status", r.Status, st.Status)
	row("period_end", "period ends", utc(r.PeriodEnd), utc(st.PeriodEnd))
	row("grace_until", "grace until", utc(r.GraceUntil), utc(st.GraceUntil))
	row("standing", "standing", r.Sentence, st.Sentence)
	looked := utc(r.LookedAt)
	if looked == "" {
		looked = "not yet"
	}
	row("", "looked at", looked, "")
	if err := s.writeTable([]table.Column{{Title: b.Tenant}, {Title: "OUTPOST"}, {Title: "STRIPE"}, {Title: ""}}, rows); err != nil {
		return err
	}
	if len(st.Subscriptions) > 0 {
		if err := s.showSubscriptions(st.Subscriptions); err != nil {
			return err
		}
	}
	if b.Note != "" {
		fmt.Fprintln(s.stderr, table.CleanBlock(b.Note))
	}
	return nil
}

func (s *session) showSubscriptions(subs []client.StripeSubscription) error {
	if _, err := fmt.Fprintln(s.stdout); err != nil {
		return err
	}
	var rows [][]table.Cell
	for _, sub := range subs {
		plan := sub.Plan
		if plan == "" {
			plan = "none has this price"
		}
		rows = append(rows, []table.Cell{{Text: sub.ID, Style: table.Strong}, {Text: sub.Status}, {Text: plan}, {Text: sub.Price}, {Text: utc(&sub.PeriodEnd)}, {Text: utc(sub.CancelAt)}, {Text: utc(sub.UnpaidSince)}})
	}
	return s.writeTable([]table.Column{{Title: "SUBSCRIPTION"}, {Title: "STATUS"}, {Title: "PLAN"}, {Title: "PRICE"}, {Title: "PERIOD ENDS"}, {Title: "ENDS"}, {Title: "UNPAID SINCE"}}, rows)
}

// utc is a time in UTC, as Stripe's dashboard can show it too; nothing for none.
func utc(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

type adminBillingSyncCommand struct {
	Tenant tenantID `arg:"" help:"Id of the tenant, ten_…"`
	JSON   bool     `name:"json" help:"Write the API's answer as one JSON object."`
}

func (c *adminBillingSyncCommand) Run(s *session) error {
	b, err := s.api.SyncBilling(s.ctx, string(c.Tenant))
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(b)
	}
	if b.Changed {
		var rows [][]table.Cell
		for _, ch := range b.Changes {
			rows = append(rows, []table.Cell{{Text: ch.Field, Style: table.Strong}, {Text: ch.Before}, {Text: ch.After}})
		}
		if err := s.writeTable([]table.Column{{Title: "CHANGED"}, {Title: "BEFORE"}, {Title: "AFTER"}}, rows); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(s.stdout, "Nothing has changed: the plan is %s.\n", table.Clean(b.Plan)); err != nil {
		return err
	}
	if b.Note != "" {
		fmt.Fprintln(s.stderr, table.CleanBlock(b.Note))
	}
	return nil
}

type adminBillingReplayCommand struct {
	JSON bool `name:"json" help:"Write one JSON object."`
}

// Run asks until none is left, or until nothing moves any more.
func (c *adminBillingReplayCommand) Run(s *session) error {
	var sum client.Replay
	for {
		r, err := s.api.ReplayStripeEvents(s.ctx)
		if err != nil {
			if sum.Moved > 0 {
				fmt.Fprintf(s.stderr, "Before this, %s went back to the queue.\n", table.Count(sum.Moved, "event"))
			}
			return err
		}
		sum.Moved, sum.Left = sum.Moved+r.Moved, r.Left
		if r.Moved == 0 || r.Left == 0 {
			break
		}
	}
	if c.JSON {
		return s.writeJSON(sum)
	}
	if _, err := fmt.Fprintf(s.stdout, "%s went back to the queue.\n", table.Count(sum.Moved, "event")); err != nil {
		return err
	}
	if sum.Left > 0 {
		fmt.Fprintf(s.stderr, "About %d are left: another replay may have them in hand. Ask again in half a minute.\n", sum.Left)
	}
	return nil
}
