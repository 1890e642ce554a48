package stripe

import (
	"net/http"
	"slices"
)

func (s *Server) createPortal(r *request) (any, error) {
	now := s.now(nil)
	p := &PortalConfiguration{Active: true, BusinessProfile: map[string]any{"headline": nil, "privacy_policy_url": nil, "terms_of_service_url": nil}, Updated: now}
	p.Features.CustomerUpdate.AllowedUpdates, p.Features.SubscriptionUpdate.DefaultAllowedUpdates = []string{}, []string{}
	p.Features.SubscriptionCancel.CancellationReason.Options = []string{"too_expensive", "missing_features", "switched_service", "unused", "other"}
	p.Features.SubscriptionCancel.Mode, p.Features.SubscriptionCancel.ProrationBehavior, p.Features.SubscriptionUpdate.ProrationBehavior = "at_period_end", "none", "none"
	p.read(r)
	if !r.has("business_profile") || !r.has("features") {
		r.fail(&Error{Code: "parameter_missing", Message: "Missing required param: business_profile and features."})
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	p.IsDefault = len(s.kinds["billing_portal.configuration"]) == 0 // real ones are made default in the Dashboard
	add(&s.store, "bpc", "billing_portal.configuration", now, p)
	s.emit("billing_portal.configuration.created", p)
	return p, nil
}

func (s *Server) updatePortal(r *request) (any, error) {
	p, err := get[*PortalConfiguration](&s.store, r.id, "id")
	if err != nil {
		return nil, err
	}
	next := *p
	next.BusinessProfile = map[string]any{}
	for k, v := range p.BusinessProfile {
		next.BusinessProfile[k] = v
	}
	next.read(r)
	next.Active, next.Updated = r.flag("active", p.Active), s.now(nil)
	if err := r.check(); err != nil {
		return nil, err
	}
	*p = next
	s.emit("billing_portal.configuration.updated", p)
	return p, nil
}

func (s *Server) listPortals(r *request) (any, error) {
	active, def := r.text("active"), r.text("is_default")
	return s.page(r, "billing_portal.configuration", func(res resource) bool {
		p := res.(*PortalConfiguration)
		return (active == "" || (active == "true") == p.Active) && (def == "" || (def == "true") == p.IsDefault)
	})
}

func (s *Server) createPortalSession(r *request) (any, error) {
	customer, configuration, back := r.need("customer"), r.text("configuration"), r.optional("return_url")
	r.ignore("locale")
	if err := r.check(); err != nil {
		return nil, err
	}
	c, err := s.livingCustomer(customer, "customer")
	if err != nil {
		return nil, err
	}
	var p *PortalConfiguration
	if configuration != "" {
		if p, err = get[*PortalConfiguration](&s.store, configuration, "configuration"); err != nil {
			return nil, err
		}
	} else if all := all[*PortalConfiguration](&s.store, "billing_portal.configuration"); len(all) > 0 {
		p = all[slices.IndexFunc(all, func(p *PortalConfiguration) bool { return p.IsDefault })]
	} else {
		return nil, invalid("", "No configuration provided and your test mode default configuration has not been created.")
	}
	if back == nil {
		back = p.DefaultReturnURL
	}
	bps := add(&s.store, "bps", "billing_portal.session", s.now(c), &PortalSession{Configuration: p.ID, Customer: c.ID, ReturnURL: back})
	bps.URL = s.base() + "/portal/" + bps.ID
	return bps, nil
}

func (s *Server) portalPage(w http.ResponseWriter, r *http.Request) {
	s.visit(w, r, func(action string) (any, string, error) {
		bps, err := get[*PortalSession](&s.store, r.PathValue("id"), "id")
		if err != nil {
			return nil, "", err
		}
		c, err := s.livingCustomer(bps.Customer, "customer")
		if err != nil {
			return nil, "", err
		}
		p := known[*PortalConfiguration](&s.store, bps.Configuration)
		if action == "back" {
			return nil, text(bps.ReturnURL), nil
		}
		if action != "" {
			err = s.portalAction(c, p, action, r.FormValue("subscription"), r.FormValue("price"))
		}
		return s.portalView(c, p, bps), "", err
	})
}

// portalAction does what a button of the portal says.
func (s *Server) portalAction(c *Customer, p *PortalConfiguration, action, id, price string) error {
	if action == GoodCard || action == FailingCard || action == DeclinedCard {
		if !p.Features.PaymentMethodUpdate.Enabled {
			return invalid("", "Cards cannot be changed here.")
		}
		return s.setCard(c, action)
	}
	sub, err := get[*Subscription](&s.store, id, "subscription")
	if err != nil || sub.Customer != c.ID || sub.over() {
		return invalid("subscription", "There is no such subscription of yours.")
	}
	now := s.now(c)
	switch action {
	case "cancel":
		if !p.Features.SubscriptionCancel.Enabled {
			return invalid("", "Subscriptions cannot be canceled here.")
		}
		if sub.Schedule != nil {
			s.release(known[*Schedule](&s.store, *sub.Schedule), sub)
		}
		if p.Features.SubscriptionCancel.Mode == "immediately" {
			s.end(sub, "cancellation_requested")
			return nil
		}
		s.setCancel(sub, now, true, 0)
	case "resume":
		s.setCancel(sub, now, false, 0)
	case "pay":
		inv := known[*Invoice](&s.store, text(sub.LatestInvoice))
		if inv.Status != "open" {
			return invalid("", "There is nothing to pay.")
		}
		return s.pay(inv, "")
	case "change":
		allowed := func(pp PortalProducts) bool { return slices.Contains(pp.Prices, price) }
		if !p.Features.SubscriptionUpdate.Enabled || !slices.ContainsFunc(p.Features.SubscriptionUpdate.Products, allowed) || sub.Schedule != nil {
			return invalid("", "This change cannot be made here.")
		}
		l := line{item: sub.Items.Data[0].ID, price: s.price(price), quantity: 1}
		if err := s.change(sub, []line{l}, p.Features.SubscriptionUpdate.ProrationBehavior, "pending_if_incomplete"); err != nil {
			return err
		}
	default:
		return invalid("action", "There is no button %q.", action)
	}
	s.emit("customer.subscription.updated", sub)
	return nil
}

// SetCard puts a card in the place of a customer's, as the portal does.
func (s *Server) SetCard(customer, card string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.save()
	c, err := s.livingCustomer(customer, "customer")
	if err != nil {
		return err
	}
	return s.setCard(c, card)
}

func (s *Server) setCard(c *Customer, card string) error {
	pm, err := s.cardOf(c, card)
	if err != nil {
		return err
	}
	c.InvoiceSettings.DefaultPaymentMethod = &pm.ID
	s.emit("customer.updated", c)
	for _, sub := range all[*Subscription](&s.store, "subscription") {
		if sub.Customer == c.ID && !sub.over() && sub.DefaultPaymentMethod != nil {
			sub.DefaultPaymentMethod = &pm.ID
			s.emit("customer.subscription.updated", sub)
		}
	}
	return nil
}
