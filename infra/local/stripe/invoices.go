package stripe

// openInvoice finds an invoice that may still be paid, and reads the rest of the
// request.
func (s *Server) openInvoice(r *request) (*Invoice, error) {
	inv, err := get[*Invoice](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	switch inv.Status {
	case "paid":
		return nil, &Error{Status: 400, Type: "invalid_request_error", Code: "invoice_already_paid", Message: "Invoice is already paid"}
	case "void":
		return nil, invalid("", "This invoice was voided.")
	}
	return inv, nil
}

func (s *Server) payInvoice(r *request) (any, error) {
	card := r.text("payment_method")
	r.ignore("off_session", "forgive")
	inv, err := s.openInvoice(r)
	if err != nil {
		return nil, err
	}
	if err := s.pay(inv, card); err != nil {
		return nil, err
	}
	return inv, nil
}

// pay has an invoice paid by a card, or by the one on file.
func (s *Server) pay(inv *Invoice, card string) error {
	var pm *PaymentMethod
	if card != "" {
		var err error
		if pm, err = s.cardOf(s.customer(inv.Customer), card); err != nil {
			return err
		}
	}
	if inv.Status == "draft" {
		s.finalize(inv)
	}
	if !s.attempt(inv, pm) {
		return errDeclined
	}
	return nil
}

func (s *Server) voidInvoice(r *request) (any, error) {
	inv, err := s.openInvoice(r)
	if err != nil {
		return nil, err
	}
	if inv.Status == "draft" {
		return nil, invalid("", "You can only pass in open invoices. This invoice isn't open.")
	}
	s.void(inv)
	if sub := known[*Subscription](&s.store, text(inv.Subscription)); sub != nil && sub.PendingUpdate != nil && sub.PendingUpdate.Invoice == inv.ID {
		sub.PendingUpdate = nil
		s.emit("customer.subscription.updated", sub)
	}
	return inv, nil
}

func (s *Server) writeOffInvoice(r *request) (any, error) {
	inv, err := s.openInvoice(r)
	if err != nil {
		return nil, err
	}
	s.writeOff(inv)
	return inv, nil
}

func (s *Server) writeOff(inv *Invoice) {
	now := s.now(s.customer(inv.Customer))
	inv.Status, inv.NextPaymentAttempt, inv.AutoAdvance, inv.StatusTransitions.MarkedUncollectibleAt = "uncollectible", nil, false, &now
	s.emit("invoice.marked_uncollectible", inv)
}

func (s *Server) listInvoices(r *request) (any, error) {
	customer, sub, status, created := r.text("customer"), r.text("subscription"), r.text("status"), r.times("created")
	return s.page(r, "invoice", func(res resource) bool {
		inv := res.(*Invoice)
		return (customer == "" || inv.Customer == customer) && (sub == "" || text(inv.Subscription) == sub) && (status == "" || inv.Status == status) && created(inv.Created)
	})
}

func (s *Server) createRefund(r *request) (any, error) {
	id, intent, reason := r.text("charge"), r.text("payment_intent"), r.optional("reason")
	if intent != "" {
		pi, err := get[*PaymentIntent](&s.store, intent, "payment_intent")
		if err != nil {
			return nil, err
		}
		id = text(pi.LatestCharge)
	}
	ch, err := get[*Charge](&s.store, id, "charge")
	if err != nil {
		return nil, err
	}
	amount := r.whole("amount", ch.AmountCaptured-ch.AmountRefunded)
	metadata := r.merge("metadata", nil)
	if err := r.check(); err != nil {
		return nil, err
	}
	if amount < 1 || amount > ch.AmountCaptured-ch.AmountRefunded {
		return nil, &Error{Status: 400, Type: "invalid_request_error", Code: "charge_already_refunded", Message: "The refund is larger than what is left of the charge."}
	}
	ch.AmountRefunded += amount
	ch.Refunded = ch.AmountRefunded == ch.Amount
	re := add(&s.store, "re", "refund", s.now(s.customer(text(ch.Customer))), &Refund{Amount: amount, Charge: ch.ID, Currency: ch.Currency,
		Metadata: metadata, PaymentIntent: ch.PaymentIntent, Reason: reason, Status: "succeeded"})
	s.emit("charge.refunded", ch)
	return re, nil
}
