package stripe

import (
	"net/http"
	"net/url"
	"strings"
)

func (s *Server) createCheckout(r *request) (any, error) {
	cs := &CheckoutSession{CancelURL: r.optional("cancel_url"), ClientReferenceID: r.optional("client_reference_id"), Customer: r.optional("customer"),
		Metadata: r.merge("metadata", nil), Mode: r.need("mode"), PaymentStatus: "unpaid", Status: "open", SuccessURL: r.optional("success_url"),
		PaymentMethodTypes: []string{"card"}, PaymentMethodCollection: r.oneOf("payment_method_collection", "always", "if_required")}
	data := r.at("subscription_data")
	cs.SubscriptionData, cs.TrialDays = data.merge("metadata", nil), data.whole("trial_period_days", 0)
	data.ignore("description")
	expires := r.whole("expires_at", 0)
	r.ignore("allow_promotion_codes", "automatic_tax", "billing_address_collection", "payment_method_types", "locale", "customer_update", "tax_id_collection", "ui_mode", "consent_collection", "custom_text")
	lines, err := s.lines(r.form, "line_items")
	switch {
	case cs.Mode != "" && cs.Mode != "subscription":
		r.fail(&Error{Param: "mode", Message: "The stand-in has mode=subscription alone."})
	case cs.SuccessURL == nil:
		r.need("success_url")
	case err == nil && (len(lines) == 0 || lines[0].price == nil):
		r.fail(&Error{Code: "parameter_missing", Param: "line_items", Message: "Missing required param: line_items."})
	case cs.Customer == nil:
		r.fail(&Error{Param: "customer", Message: "The stand-in makes no customer at Checkout: pass one."})
	}
	if bad := r.check(); bad != nil {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	for _, u := range []*string{cs.SuccessURL, cs.CancelURL} {
		if parsed, err := url.Parse(text(u)); u != nil && (err != nil || !parsed.IsAbs()) {
			return nil, &Error{Status: 400, Type: "invalid_request_error", Code: "url_invalid", Message: "Not a valid URL"}
		}
	}
	c, err := s.livingCustomer(*cs.Customer, "customer")
	if err != nil {
		return nil, err
	}
	now := s.now(c)
	if expires == 0 {
		expires = now + day
	} else if expires < now+30*60 || expires > now+day {
		return nil, invalid("expires_at", "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.")
	}
	add(&s.store, "cs_test", "checkout.session", now, cs)
	page := s.base() + "/pay/" + cs.ID
	cs.ExpiresAt, cs.URL, cs.Currency = expires, &page, lines[0].price.Currency
	cs.LineItems = List[*LineItem]{Object: "list", URL: "/v1/checkout/sessions/" + cs.ID + "/line_items"}
	for _, l := range lines {
		amount := l.price.UnitAmount * l.quantity
		cs.LineItems.Data = append(cs.LineItems.Data, &LineItem{ID: s.newID("li"), Object: "item", AmountSubtotal: amount, AmountTotal: amount,
			Currency: l.price.Currency, Description: known[*Product](&s.store, l.price.Product).Name, Price: l.price.ID, Quantity: l.quantity})
		cs.AmountTotal, cs.AmountSubtotal = cs.AmountTotal+amount, cs.AmountSubtotal+amount
	}
	return cs, nil
}

// Checkout has a person pay an open session with a card, as the page's buttons
// do. It returns where the page sends them.
func (s *Server) Checkout(id, card string) (location string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.save()
	return s.complete(id, card)
}

func (s *Server) complete(id, card string) (location string, err error) {
	cs, err := get[*CheckoutSession](&s.store, id, "id")
	if err != nil {
		return "", err
	}
	c, err := s.livingCustomer(text(cs.Customer), "customer")
	if err != nil {
		return "", err
	}
	if cs.Status != "open" || cs.ExpiresAt <= s.now(c) {
		return "", invalid("", "This Checkout page is closed: the session is %s.", cs.Status)
	}
	pm, err := s.cardOf(c, card)
	if err != nil {
		return "", err
	}
	if card == FailingCard && cs.TrialDays == 0 {
		return "", errDeclined
	}
	var lines []line
	for _, li := range cs.LineItems.Data {
		lines = append(lines, line{price: s.price(li.Price), quantity: li.Quantity})
	}
	var trialEnd int64
	if cs.TrialDays > 0 {
		trialEnd = s.now(c) + cs.TrialDays*day
	}
	sub := s.subscribe(c, lines, cs.SubscriptionData, &pm.ID, trialEnd, "create_invoice")
	if trialEnd == 0 {
		s.attempt(known[*Invoice](&s.store, *sub.LatestInvoice), nil)
	}
	cs.Status, cs.PaymentStatus, cs.Subscription, cs.Invoice, cs.URL = "complete", "paid", &sub.ID, sub.LatestInvoice, nil
	if trialEnd > 0 {
		cs.PaymentStatus = "no_payment_required"
	}
	s.emit("checkout.session.completed", cs)
	return strings.ReplaceAll(*cs.SuccessURL, "{CHECKOUT_SESSION_ID}", cs.ID), nil
}

func (s *Server) expire(cs *CheckoutSession) {
	cs.Status, cs.URL = "expired", nil
	s.emit("checkout.session.expired", cs)
}

func (s *Server) expireCheckout(r *request) (any, error) {
	cs, err := get[*CheckoutSession](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if cs.Status != "open" {
		return nil, invalid("", "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of `%s`.", cs.Status)
	}
	s.expire(cs)
	return cs, nil
}

func (s *Server) listCheckouts(r *request) (any, error) {
	customer, sub, status := r.text("customer"), r.text("subscription"), r.text("status")
	return s.page(r, "checkout.session", func(res resource) bool {
		cs := res.(*CheckoutSession)
		return (customer == "" || text(cs.Customer) == customer) && (sub == "" || text(cs.Subscription) == sub) && (status == "" || cs.Status == status)
	})
}

func (s *Server) payPage(w http.ResponseWriter, r *http.Request) {
	s.visit(w, r, func(action string) (any, string, error) {
		cs, err := get[*CheckoutSession](&s.store, r.PathValue("id"), "id")
		if err != nil {
			return nil, "", err
		}
		to := ""
		if action == "back" {
			to = text(cs.CancelURL)
		} else if action != "" {
			to, err = s.complete(cs.ID, action)
		}
		return payView{Session: cs, Back: cs.CancelURL != nil}, to, err
	})
}
