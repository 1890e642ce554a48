package stripe

import (
	"slices"
)

const day = int64(24 * 60 * 60)

// over tells whether a subscription has ended for ever.
func (sub *Subscription) over() bool {
	return sub.Status == "canceled" || sub.Status == "incomplete_expired"
}

// line is one price that a caller wants.
type line struct {
	item     string // of the subscription, to replace
	price    *Price
	quantity int64
	deleted  bool
}

// lines reads the items of a request. Nothing is changed by it.
func (s *Server) lines(r *form, key string) ([]line, error) {
	var out []line
	for _, f := range r.list(key) {
		l := line{item: f.text("id"), quantity: f.whole("quantity", 1), deleted: f.flag("deleted", false)}
		f.ignore("metadata")
		if id := f.text("price"); id != "" {
			p, err := get[*Price](&s.store, id, f.name+"[price]")
			if err != nil {
				return nil, err
			}
			if !p.Active || p.Recurring == nil {
				return nil, invalid(f.name+"[price]", "The price %s is inactive, or not a recurring one.", id)
			}
			l.price = p
		}
		out = append(out, l)
	}
	return out, nil
}

func (s *Server) createSubscription(r *request) (any, error) {
	customer, metadata, card := r.need("customer"), r.merge("metadata", nil), r.text("default_payment_method")
	behavior := r.oneOf("payment_behavior", "allow_incomplete", "default_incomplete", "error_if_incomplete")
	days, end := r.whole("trial_period_days", 0), r.whole("trial_end", 0)
	missing := r.at("trial_settings").at("end_behavior").oneOf("missing_payment_method", "create_invoice", "cancel", "pause")
	r.ignore("off_session", "payment_settings", "collection_method")
	lines, err := s.lines(r.form, "items")
	if err == nil && (len(lines) == 0 || lines[0].price == nil) {
		r.fail(&Error{Code: "parameter_missing", Param: "items", Message: "Missing required param: items."})
	}
	if bad := r.check(); bad != nil {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	c, err := s.livingCustomer(customer, "customer")
	if err != nil {
		return nil, err
	}
	var pm *string
	if card != "" {
		m, err := s.cardOf(c, card)
		if err != nil {
			return nil, err
		}
		pm = &m.ID
	}
	if days > 0 {
		end = s.now(c) + days*day
	}
	if behavior != "default_incomplete" && end == 0 && text(pm) == "" && c.InvoiceSettings.DefaultPaymentMethod == nil {
		return nil, &Error{Status: 400, Type: "invalid_request_error", Code: "resource_missing",
			Message: "This customer has no attached payment source or default payment method."}
	}
	sub := s.subscribe(c, lines, metadata, pm, end, missing)
	if end == 0 && behavior != "default_incomplete" {
		if !s.attempt(known[*Invoice](&s.store, text(sub.LatestInvoice)), nil) && behavior == "error_if_incomplete" {
			sub.Status = "incomplete_expired"
			s.emit("customer.subscription.updated", sub)
			return nil, errDeclined
		}
	}
	return sub, nil
}

// subscribe makes a subscription and its first invoice, which is not paid yet.
func (s *Server) subscribe(c *Customer, lines []line, metadata map[string]string, card *string, trialEnd int64, missing string) *Subscription {
	now := s.now(c)
	sub := &Subscription{BillingCycleAnchor: now, Currency: lines[0].price.Currency, CurrentPeriodStart: now, CurrentPeriodEnd: lines[0].price.after(now, 1),
		Customer: c.ID, DefaultPaymentMethod: card, Metadata: metadata, StartDate: now, Status: "incomplete", TestClock: c.TestClock,
		TrialSettings: map[string]map[string]string{"end_behavior": {"missing_payment_method": missing}}}
	add(&s.store, "sub", "subscription", now, sub)
	sub.Items = List[*SubscriptionItem]{Object: "list", URL: "/v1/subscription_items?subscription=" + sub.ID}
	for _, l := range lines {
		sub.Items.Data = append(sub.Items.Data, s.item(sub, l))
	}
	if trialEnd > 0 {
		sub.Status, sub.TrialStart, sub.TrialEnd = "trialing", &now, &trialEnd
		sub.CurrentPeriodEnd, sub.BillingCycleAnchor = trialEnd, trialEnd
	}
	s.finalize(s.bill(sub, "subscription_create", s.periodLines(sub)))
	s.emit("customer.subscription.created", sub)
	if trialEnd > 0 {
		s.attempt(known[*Invoice](&s.store, *sub.LatestInvoice), nil) // nothing to pay
	}
	return sub
}

func (s *Server) item(sub *Subscription, l line) *SubscriptionItem {
	return &SubscriptionItem{Head: Head{ID: s.newID("si"), Object: "subscription_item", Created: s.now(s.customer(sub.Customer))},
		Metadata: map[string]string{}, Price: l.price.ID, Quantity: l.quantity, Subscription: sub.ID}
}

// managed are the parameters that a pending update does not take.
var notWithPending = []string{"metadata", "cancel_at_period_end", "cancel_at", "default_payment_method", "pause_collection", "description", "cancellation_details"}

func (s *Server) updateSubscription(r *request) (any, error) {
	sub, err := get[*Subscription](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	c := s.customer(sub.Customer)
	now, next := s.now(c), *sub
	proration := r.oneOf("proration_behavior", "create_prorations", "always_invoice", "none")
	behavior := r.oneOf("payment_behavior", "allow_incomplete", "pending_if_incomplete", "error_if_incomplete", "default_incomplete")
	lines, err := s.lines(r.form, "items")
	next.Metadata = r.merge("metadata", sub.Metadata)
	card := r.text("default_payment_method")
	atEnd, cancelAt := r.flag("cancel_at_period_end", sub.CancelAtPeriodEnd), int64(0)
	if r.text("cancel_at") != "" { // an empty one takes the day back
		cancelAt = r.whole("cancel_at", 0)
	}
	details := r.at("cancellation_details")
	next.CancellationDetails.Comment, next.CancellationDetails.Feedback = details.optional("comment"), details.optional("feedback")
	if r.has("pause_collection") {
		next.PauseCollection = nil
		if f := r.at("pause_collection"); f.has("behavior") {
			next.PauseCollection = &PauseCollection{Behavior: f.oneOf("behavior", "keep_as_draft", "mark_uncollectible", "void")}
		}
	}
	endNow := r.text("trial_end") == "now"
	r.ignore("proration_date", "off_session", "payment_settings")
	if bad := r.check(); bad != nil {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	if sub.over() {
		return nil, invalid("", "A canceled subscription can only update its cancellation_details and metadata.")
	}
	if sub.Status == "incomplete" {
		for _, name := range []string{"items", "cancel_at_period_end", "cancel_at", "pause_collection", "trial_end"} {
			if r.has(name) {
				return nil, invalid(name, "A subscription with the status `incomplete` can only update its metadata and default_source; %s is neither.", name)
			}
		}
	}
	if behavior == "pending_if_incomplete" {
		for _, name := range notWithPending {
			if r.has(name) {
				return nil, invalid(name, "When `payment_behavior` is set to `pending_if_incomplete`, you can only pass supported params; %s is not.", name)
			}
		}
	}
	cancelling := r.has("cancel_at_period_end") || r.has("cancel_at")
	if cancelling && sub.Schedule != nil {
		return nil, invalid("cancel_at_period_end", "The subscription is managed by the subscription schedule `%s`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead.", *sub.Schedule)
	}
	if card != "" {
		pm, err := s.cardOf(c, card)
		if err != nil {
			return nil, err
		}
		next.DefaultPaymentMethod = &pm.ID
	}
	if cancelling {
		s.setCancel(&next, now, atEnd, cancelAt)
	}
	*sub = next
	if endNow && sub.Status == "trialing" {
		sub.TrialEnd = &now
	}
	if len(lines) > 0 {
		if err := s.change(sub, lines, proration, behavior); err != nil {
			return nil, err
		}
	}
	s.emit("customer.subscription.updated", sub)
	if endNow && sub.Status == "trialing" {
		s.endTrial(sub)
	}
	return sub, nil
}

// setCancel makes a subscription end at its period's end or another time, or go
// on.
func (s *Server) setCancel(sub *Subscription, now int64, atPeriodEnd bool, at int64) {
	sub.CancelAtPeriodEnd, sub.CancelAt, sub.CanceledAt, sub.CancellationDetails.Reason = false, nil, nil, nil
	reason := "cancellation_requested"
	switch {
	case atPeriodEnd:
		end := sub.CurrentPeriodEnd
		sub.CancelAtPeriodEnd, sub.CancelAt, sub.CanceledAt, sub.CancellationDetails.Reason = true, &end, &now, &reason
	case at > 0:
		sub.CancelAt, sub.CanceledAt, sub.CancellationDetails.Reason = &at, &now, &reason
	}
}

func (s *Server) cancelSubscription(r *request) (any, error) {
	sub, err := get[*Subscription](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	details := r.at("cancellation_details")
	comment, feedback := details.optional("comment"), details.optional("feedback")
	r.ignore("invoice_now", "prorate")
	if err := r.check(); err != nil {
		return nil, err
	}
	if sub.over() {
		return nil, &Error{Status: 404, Type: "invalid_request_error", Code: "resource_missing", Param: "id", Message: "No such subscription: '" + r.id + "'"}
	}
	sub.CancellationDetails.Comment, sub.CancellationDetails.Feedback = comment, feedback
	s.end(sub, "cancellation_requested")
	return sub, nil
}

// end cancels a subscription now.
func (s *Server) end(sub *Subscription, reason string) {
	now := s.now(s.customer(sub.Customer))
	s.dropPending(sub)
	sub.Status, sub.EndedAt = "canceled", &now
	if sub.CanceledAt == nil {
		sub.CanceledAt = &now
	}
	if reason != "" && sub.CancellationDetails.Reason == nil {
		sub.CancellationDetails.Reason = &reason
	}
	if sub.Schedule != nil {
		sch := known[*Schedule](&s.store, *sub.Schedule)
		sch.Status, sch.CanceledAt, sch.CurrentPhase = "canceled", &now, nil
		s.emit("subscription_schedule.canceled", sch)
		sub.Schedule = nil
	}
	for _, inv := range all[*Invoice](&s.store, "invoice") {
		if text(inv.Subscription) == sub.ID && (inv.Status == "open" || inv.Status == "draft") {
			inv.AutoAdvance, inv.NextPaymentAttempt, inv.FinalizeAt = false, nil, 0 // nobody tries it again
		}
	}
	s.emit("customer.subscription.deleted", sub)
}

func (s *Server) resumeSubscription(r *request) (any, error) {
	sub, err := get[*Subscription](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	r.ignore("billing_cycle_anchor", "proration_behavior")
	if err := r.check(); err != nil {
		return nil, err
	}
	if sub.Status != "paused" {
		return nil, invalid("", "Subscription %s is not paused.", sub.ID)
	}
	now := s.now(s.customer(sub.Customer))
	sub.CurrentPeriodStart, sub.BillingCycleAnchor, sub.CurrentPeriodEnd = now, now, s.price(sub.Items.Data[0].Price).after(now, 1)
	inv := s.bill(sub, "subscription_cycle", s.periodLines(sub))
	s.finalize(inv)
	s.attempt(inv, nil) // that it is paid resumes the subscription
	return sub, nil
}

func (s *Server) listSubscriptions(r *request) (any, error) {
	customer, price, status := r.text("customer"), r.text("price"), r.text("status")
	created, clock := r.times("created"), r.text("test_clock")
	if customer != "" {
		if _, err := get[*Customer](&s.store, customer, "customer"); err != nil {
			return nil, err
		}
	}
	return s.page(r, "subscription", func(res resource) bool {
		sub := res.(*Subscription)
		return (customer == "" || sub.Customer == customer) && created(sub.Created) &&
			(text(sub.TestClock) == clock || clock == "" && customer != "") &&
			(price == "" || slices.ContainsFunc(sub.Items.Data, func(it *SubscriptionItem) bool { return it.Price == price })) &&
			(status == "all" || status == sub.Status || status == "ended" && sub.over() || status == "" && sub.Status != "canceled")
	})
}

func (s *Server) customer(id string) *Customer { return known[*Customer](&s.store, id) }
func (s *Server) price(id string) *Price       { return known[*Price](&s.store, id) }
