package stripe

import (
	"cmp"
	"fmt"
	"slices"
)

// periodLines charge a subscription's items for its current period.
func (s *Server) periodLines(sub *Subscription) (lines []*InvoiceLine) {
	for _, it := range sub.Items.Data {
		p := s.price(it.Price)
		amount := p.UnitAmount * it.Quantity
		if sub.Status == "trialing" {
			amount = 0
		}
		lines = append(lines, s.invoiceLine(sub, it, amount, Period{sub.CurrentPeriodStart, sub.CurrentPeriodEnd}, false))
	}
	return lines
}

func (s *Server) invoiceLine(sub *Subscription, it *SubscriptionItem, amount int64, period Period, proration bool) *InvoiceLine {
	p, kind := s.price(it.Price), "subscription"
	if proration {
		kind = "invoiceitem"
	}
	return &InvoiceLine{ID: s.newID("il"), Object: "line_item", Amount: amount, Currency: sub.Currency,
		Description: fmt.Sprintf("%d × %s", it.Quantity, known[*Product](&s.store, p.Product).Name), Metadata: sub.Metadata, Period: period,
		Price: it.Price, Proration: proration, Quantity: it.Quantity, Subscription: sub.ID, SubscriptionItem: it.ID, Type: kind}
}

// prorations give the rest of the period back and charge it by other items, or,
// for another interval, charge a whole period of that.
func (s *Server) prorations(sub *Subscription, items []*SubscriptionItem) (lines []*InvoiceLine) {
	now := s.now(s.customer(sub.Customer))
	whole, left := sub.CurrentPeriodEnd-sub.CurrentPeriodStart, max(0, sub.CurrentPeriodEnd-now)
	share := func(p *Price, quantity int64) int64 { return (p.UnitAmount*quantity*left + whole/2) / whole }
	other := s.otherInterval(sub, items)
	same := func(a *SubscriptionItem) func(*SubscriptionItem) bool {
		return func(b *SubscriptionItem) bool { return a.Price == b.Price && a.Quantity == b.Quantity }
	}
	rest := Period{now, sub.CurrentPeriodEnd}
	for _, it := range sub.Items.Data {
		if !slices.ContainsFunc(items, same(it)) {
			lines = append(lines, s.invoiceLine(sub, it, -share(s.price(it.Price), it.Quantity), rest, true))
		}
	}
	for _, it := range items {
		switch p := s.price(it.Price); {
		case slices.ContainsFunc(sub.Items.Data, same(it)):
		case other:
			lines = append(lines, s.invoiceLine(sub, it, p.UnitAmount*it.Quantity, Period{now, p.after(now, 1)}, false))
		default:
			lines = append(lines, s.invoiceLine(sub, it, share(p, it.Quantity), rest, true))
		}
	}
	return lines
}

// bill drafts an invoice of a subscription, with what was prorated before.
func (s *Server) bill(sub *Subscription, reason string, lines []*InvoiceLine) *Invoice {
	c := s.customer(sub.Customer)
	now := s.now(c)
	lines = append(sub.Prorated, lines...)
	sub.Prorated = nil
	inv := &Invoice{AutoAdvance: true, BillingReason: reason, Currency: sub.Currency, Customer: c.ID, CustomerEmail: c.Email, CustomerName: c.Name,
		Metadata: map[string]string{}, PeriodStart: now, PeriodEnd: now, StartingBalance: c.Balance, Status: "draft", Subscription: &sub.ID,
		SubscriptionDetails: SubscriptionDetails{sub.Metadata}, TestClock: sub.TestClock}
	add(&s.store, "in", "invoice", now, inv)
	inv.Lines = List[*InvoiceLine]{Object: "list", Data: lines, URL: "/v1/invoices/" + inv.ID + "/lines"}
	for _, l := range lines {
		inv.Total += l.Amount
	}
	inv.Subtotal, inv.SubtotalExcludingTax, inv.TotalExcludingTax = inv.Total, inv.Total, inv.Total
	inv.AmountDue = max(0, inv.Total+c.Balance)
	inv.AmountRemaining = inv.AmountDue
	sub.LatestInvoice = &inv.ID
	s.emit("invoice.created", inv)
	return inv
}

// finalize makes a draft owed. What is to the customer's favour becomes credit.
func (s *Server) finalize(inv *Invoice) {
	c := s.customer(inv.Customer)
	now := s.now(c)
	inv.StartingBalance = c.Balance
	inv.AmountDue = max(0, inv.Total+c.Balance)
	inv.AmountRemaining = inv.AmountDue
	c.Balance = min(0, inv.Total+c.Balance)
	balance := c.Balance
	number, url := fmt.Sprintf("OUTPOST-%04d", len(s.kinds["invoice"])), s.base()+"/invoice/"+inv.ID
	inv.Status, inv.FinalizeAt, inv.EffectiveAt, inv.EndingBalance, inv.Number, inv.HostedInvoiceURL = "open", 0, &now, &balance, &number, &url
	inv.StatusTransitions.FinalizedAt = &now
	if inv.AmountDue > 0 {
		pi := add(&s.store, "pi", "payment_intent", now, &PaymentIntent{Amount: inv.AmountDue, Currency: inv.Currency, Customer: &c.ID, Invoice: &inv.ID,
			Metadata: map[string]string{}, Status: "requires_payment_method"})
		inv.PaymentIntent = &pi.ID
	}
	s.emit("invoice.finalized", inv)
}

// cardFor is the card that an invoice is charged to; nil for none.
func (s *Server) cardFor(inv *Invoice) *PaymentMethod {
	sub := known[*Subscription](&s.store, text(inv.Subscription))
	return known[*PaymentMethod](&s.store, cmp.Or(text(sub.DefaultPaymentMethod), text(s.customer(inv.Customer).InvoiceSettings.DefaultPaymentMethod)))
}

// attempt tries to have an open invoice paid, by the given card or the one on
// file, and does to its subscription what follows. It tells whether it is paid.
func (s *Server) attempt(inv *Invoice, pm *PaymentMethod) bool {
	sub, now := known[*Subscription](&s.store, text(inv.Subscription)), s.now(s.customer(inv.Customer))
	if pm == nil {
		pm = s.cardFor(inv)
	}
	if inv.AmountDue > 0 {
		inv.AttemptCount++
		if !s.charge(inv, pm) {
			s.unpaid(inv, sub)
			return false
		}
	}
	inv.Attempted, inv.Paid, inv.Status, inv.AmountPaid, inv.AmountRemaining, inv.NextPaymentAttempt = true, true, "paid", inv.AmountDue, 0, nil
	inv.AutoAdvance, inv.StatusTransitions.PaidAt = false, &now
	s.emit("invoice.paid", inv)
	s.emit("invoice.payment_succeeded", inv)
	s.settled(inv, sub)
	return true
}

// charge tries a card.
func (s *Server) charge(inv *Invoice, pm *PaymentMethod) bool {
	inv.Attempted = true
	pi, now := known[*PaymentIntent](&s.store, text(inv.PaymentIntent)), s.now(s.customer(inv.Customer))
	if pm == nil {
		s.emit("payment_intent.payment_failed", pi)
		return false
	}
	ok := pm.Card.Last4 == last4[GoodCard]
	ch := add(&s.store, "ch", "charge", now, &Charge{Amount: inv.AmountDue, Captured: ok, Currency: inv.Currency, Customer: &inv.Customer, Invoice: &inv.ID,
		Metadata: map[string]string{}, Paid: ok, PaymentIntent: &pi.ID, PaymentMethod: &pm.ID, Status: "succeeded"})
	pi.LatestCharge, inv.Charge = &ch.ID, &ch.ID
	if !ok {
		ch.Status, ch.FailureCode, ch.FailureMessage = "failed", &errDeclined.Code, &errDeclined.Message
		pi.LastPaymentError = &PaymentError{Type: errDeclined.Type, Code: errDeclined.Code, DeclineCode: errDeclined.DeclineCode, Message: errDeclined.Message}
		s.emit("charge.failed", ch)
		s.emit("payment_intent.payment_failed", pi)
		return false
	}
	ch.AmountCaptured = ch.Amount
	pi.Status, pi.AmountReceived, pi.PaymentMethod, pi.LastPaymentError = "succeeded", pi.Amount, &pm.ID, nil
	s.emit("charge.succeeded", ch)
	s.emit("payment_intent.succeeded", pi)
	return true
}

// retryDays is how long after each failure a renewal is tried again.
var retryDays = []int64{3, 5, 7}

// unpaid does what a failed payment does.
func (s *Server) unpaid(inv *Invoice, sub *Subscription) {
	now := s.now(s.customer(inv.Customer))
	renewal := inv.BillingReason == "subscription_cycle"
	waits := sub.PendingUpdate != nil && sub.PendingUpdate.Invoice == inv.ID
	last := inv.AttemptCount > int64(len(retryDays))
	inv.NextPaymentAttempt = nil
	if renewal && !last && inv.AutoAdvance {
		at := now + retryDays[inv.AttemptCount-1]*day
		inv.NextPaymentAttempt = &at
	}
	s.emit("invoice.payment_failed", inv)
	switch {
	case sub.over() || waits || sub.Status == "incomplete" || sub.Status == "unpaid" || sub.Status == "paused":
	case renewal && last && s.o.AfterRetries == "canceled":
		s.end(sub, "payment_failed")
	case renewal && last && s.o.AfterRetries == "unpaid":
		sub.Status = "unpaid"
		s.emit("customer.subscription.updated", sub)
	case sub.Status != "past_due":
		sub.Status = "past_due"
		s.emit("customer.subscription.updated", sub)
	}
}

// settled does what a payment does.
func (s *Server) settled(inv *Invoice, sub *Subscription) {
	p := sub.PendingUpdate
	applied := p != nil && p.Invoice == inv.ID
	if applied {
		sub.PendingUpdate = nil
		s.apply(sub, p.Items)
	}
	latest, was := text(sub.LatestInvoice) == inv.ID, sub.Status
	if latest && (was == "incomplete" || was == "past_due" || was == "unpaid" || was == "paused") {
		sub.Status = "active"
	}
	s.emit("customer.subscription.updated", sub)
	if applied {
		s.emit("customer.subscription.pending_update_applied", sub)
	}
	if was == "paused" && sub.Status == "active" {
		s.emit("customer.subscription.resumed", sub)
	}
}

// dropPending gives up a change that waits for its payment.
func (s *Server) dropPending(sub *Subscription) {
	if sub.PendingUpdate == nil {
		return
	}
	inv := known[*Invoice](&s.store, sub.PendingUpdate.Invoice)
	sub.PendingUpdate = nil
	s.void(inv)
	s.emit("customer.subscription.updated", sub)
	s.emit("customer.subscription.pending_update_expired", sub)
}

func (s *Server) void(inv *Invoice) {
	now := s.now(s.customer(inv.Customer))
	inv.Status, inv.NextPaymentAttempt, inv.FinalizeAt, inv.AutoAdvance, inv.StatusTransitions.VoidedAt = "void", nil, 0, false, &now
	if pi := known[*PaymentIntent](&s.store, text(inv.PaymentIntent)); pi != nil {
		pi.Status = "canceled"
	}
	s.emit("invoice.voided", inv)
}
