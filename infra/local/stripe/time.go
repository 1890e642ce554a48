package stripe

import (
	"maps"
	"time"
)

// after is when a number of intervals have passed.
func (p *Price) after(start, intervals int64) int64 {
	t, n := time.Unix(start, 0).UTC(), int(p.Recurring.IntervalCount*intervals)
	switch p.Recurring.Interval {
	case "day":
		t = t.AddDate(0, 0, n)
	case "week":
		t = t.AddDate(0, 0, 7*n)
	case "year":
		t = months(t, 12*n)
	default:
		t = months(t, n)
	}
	return t.Unix()
}

// months adds months; the 31st becomes a shorter month's last day.
func months(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month(), 1, t.Hour(), t.Minute(), t.Second(), 0, time.UTC).AddDate(0, n, 0)
	return first.AddDate(0, 0, min(t.Day(), first.AddDate(0, 1, -1).Day())-1)
}

// now is the time that a customer's billing lives by.
func (s *Server) now(c *Customer) int64 {
	if s.acting != 0 {
		return s.acting
	}
	if c != nil && c.TestClock != nil {
		if clock := known[*TestClock](&s.store, *c.TestClock); clock != nil {
			return clock.FrozenTime
		}
	}
	return s.o.Clock.Now().Unix() + s.ahead
}

// Now is the time that billing lives by, where no test clock says otherwise.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Unix(s.now(nil), 0).UTC()
}

// Advance moves billing, and the retries of webhooks, ahead of the clock, and
// does all that the time brings. It sends no webhook.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += int64(d / time.Second)
	s.tick()
	s.save()
}

// Tick does what has become due: renewals, retries of payments, trials' and
// periods' ends, phases, and what expires.
func (s *Server) Tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tick() {
		s.save()
	}
}

// tick does what is due, the earliest first, each at its own time.
func (s *Server) tick() (any bool) {
	maps.DeleteFunc(s.answers, func(_ string, a *answered) bool { return a.At+keyLife <= s.o.Clock.Now().Unix() })
	for {
		var at int64
		var do func()
		for _, kind := range []string{"invoice", "subscription_schedule", "subscription", "checkout.session"} {
			for _, res := range s.kinds[kind] {
				if t, f, c := s.next(res); f != nil && t <= s.now(c) && (do == nil || t < at) {
					at, do = t, f
				}
			}
		}
		if do == nil {
			return any
		}
		s.acting, any = at, true
		do()
		s.acting = 0
	}
}

// next is what an object waits for, and when.
func (s *Server) next(res resource) (at int64, do func(), c *Customer) {
	soonest := func(t *int64, f func()) {
		if t != nil && *t != 0 && (do == nil || *t < at) {
			at, do = *t, f
		}
	}
	switch v := res.(type) {
	case *Invoice:
		if v.Status == "draft" {
			soonest(&v.FinalizeAt, func() { s.finalizeDraft(v) })
		} else if v.Status == "open" {
			soonest(v.NextPaymentAttempt, func() { s.attempt(v, nil) })
		}
		return at, do, s.customer(v.Customer)
	case *Schedule:
		if v.Status == "active" {
			soonest(&v.CurrentPhase.EndDate, func() { s.nextPhase(v) })
		}
		return at, do, s.customer(v.Customer)
	case *CheckoutSession:
		if v.Status == "open" {
			soonest(&v.ExpiresAt, func() { s.expire(v) })
		}
		return at, do, s.customer(text(v.Customer))
	case *Subscription:
		if !v.over() {
			s.nextOf(v, soonest)
		}
		return at, do, s.customer(v.Customer)
	}
	return 0, nil, nil
}

func (s *Server) nextOf(sub *Subscription, soonest func(*int64, func())) {
	if sub.Status == "incomplete" {
		expires := sub.Created + 23*60*60
		soonest(&expires, func() {
			sub.Status = "incomplete_expired"
			s.void(known[*Invoice](&s.store, *sub.LatestInvoice))
			s.emit("customer.subscription.updated", sub)
		})
		return
	}
	if sub.PendingUpdate != nil {
		soonest(&sub.PendingUpdate.ExpiresAt, func() { s.dropPending(sub) })
	}
	soonest(sub.CancelAt, func() { s.end(sub, "cancellation_requested") })
	switch sub.Status {
	case "paused":
	case "trialing":
		if warning := *sub.TrialEnd - 3*day; !sub.Warned && warning >= sub.Created {
			soonest(&warning, func() { sub.Warned = true; s.emit("customer.subscription.trial_will_end", sub) })
		}
		soonest(sub.TrialEnd, func() { s.endTrial(sub) })
	default:
		if upcoming := sub.CurrentPeriodEnd - 7*day; sub.Announced != sub.CurrentPeriodEnd && upcoming > sub.CurrentPeriodStart && sub.CancelAt == nil {
			soonest(&upcoming, func() { s.announce(sub) })
		}
		soonest(&sub.CurrentPeriodEnd, func() { s.renew(sub) })
	}
}

// renew begins the next period. Its invoice is a draft for an hour, then
// charged; an unpaid subscription's stays a draft.
func (s *Server) renew(sub *Subscription) {
	sub.CurrentPeriodStart, sub.CurrentPeriodEnd = sub.CurrentPeriodEnd, s.periodEnd(sub)
	inv := s.bill(sub, "subscription_cycle", s.periodLines(sub))
	inv.PeriodStart, inv.PeriodEnd = sub.CurrentPeriodStart, sub.CurrentPeriodStart
	switch pause := sub.PauseCollection; {
	case sub.Status == "unpaid" || pause != nil && pause.Behavior == "keep_as_draft":
		inv.AutoAdvance = false
	case pause != nil && pause.Behavior == "void":
		s.void(inv)
	case pause != nil:
		s.writeOff(inv)
	default:
		inv.FinalizeAt = sub.CurrentPeriodStart + 60*60
	}
	s.emit("customer.subscription.updated", sub)
}

// periodEnd is the end of the period after the current one: intervals are
// counted from the anchor, so that a 31st comes back after a February.
func (s *Server) periodEnd(sub *Subscription) int64 {
	p := s.price(sub.Items.Data[0].Price)
	for n := int64(1); ; n++ {
		if end := p.after(sub.BillingCycleAnchor, n); end > sub.CurrentPeriodEnd {
			return end
		}
	}
}

func (s *Server) finalizeDraft(inv *Invoice) {
	s.finalize(inv)
	s.attempt(inv, nil)
}

// endTrial begins the first period that costs something.
func (s *Server) endTrial(sub *Subscription) {
	c := s.customer(sub.Customer)
	if sub.DefaultPaymentMethod == nil && c.InvoiceSettings.DefaultPaymentMethod == nil {
		switch sub.TrialSettings["end_behavior"]["missing_payment_method"] {
		case "pause":
			sub.Status = "paused"
			s.emit("customer.subscription.updated", sub)
			s.emit("customer.subscription.paused", sub)
			return
		case "cancel":
			s.end(sub, "payment_failed")
			return
		}
	}
	sub.Status, sub.BillingCycleAnchor, sub.CurrentPeriodEnd = "active", *sub.TrialEnd, *sub.TrialEnd
	s.renew(sub)
}

// announce tells of the next renewal.
func (s *Server) announce(sub *Subscription) {
	sub.Announced = sub.CurrentPeriodEnd
	end := s.price(sub.Items.Data[0].Price).after(sub.CurrentPeriodEnd, 1)
	inv := &Invoice{Head: Head{Object: "invoice", Created: sub.CurrentPeriodEnd}, BillingReason: "upcoming", Currency: sub.Currency, Customer: sub.Customer, Metadata: map[string]string{},
		PeriodStart: sub.CurrentPeriodStart, PeriodEnd: sub.CurrentPeriodEnd, Status: "draft", Subscription: &sub.ID, SubscriptionDetails: SubscriptionDetails{sub.Metadata}}
	inv.Lines = List[*InvoiceLine]{Object: "list", URL: "/v1/invoices/upcoming/lines"}
	for _, it := range sub.Items.Data {
		l := s.invoiceLine(sub, it, s.price(it.Price).UnitAmount*it.Quantity, Period{sub.CurrentPeriodEnd, end}, false)
		inv.Lines.Data = append(inv.Lines.Data, l)
		inv.Total += l.Amount
	}
	inv.Subtotal, inv.AmountDue, inv.AmountRemaining = inv.Total, inv.Total, inv.Total
	s.emit("invoice.upcoming", inv)
}

func (s *Server) createTestClock(r *request) (any, error) {
	at, name := r.whole("frozen_time", 0), r.optional("name")
	r.need("frozen_time")
	if err := r.check(); err != nil {
		return nil, err
	}
	now := s.o.Clock.Now().Unix()
	return add(&s.store, "clock", "test_helpers.test_clock", now, &TestClock{DeletesAfter: now + 30*day, FrozenTime: at, Name: name, Status: "ready"}), nil
}

func (s *Server) advanceTestClock(r *request) (any, error) {
	clock, err := get[*TestClock](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	to := r.whole("frozen_time", 0)
	if err := r.check(); err != nil {
		return nil, err
	}
	if to <= clock.FrozenTime {
		return nil, invalid("frozen_time", "The frozen time must be after the test clock's current frozen time.")
	}
	clock.FrozenTime = to
	s.tick()
	s.emit("test_helpers.test_clock.ready", clock)
	return clock, nil
}

func (s *Server) listTestClocks(r *request) (any, error) {
	return s.page(r, "test_helpers.test_clock", func(resource) bool { return true })
}
