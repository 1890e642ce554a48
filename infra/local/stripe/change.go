package stripe

import "slices"

// change puts other prices in the place of a subscription's.
func (s *Server) change(sub *Subscription, lines []line, proration, behavior string) error {
	items := slices.Clone(sub.Items.Data)
	for _, l := range lines {
		i := slices.IndexFunc(items, func(it *SubscriptionItem) bool { return it.ID == l.item })
		switch {
		case l.item != "" && i < 0:
			return &Error{Status: 404, Type: "invalid_request_error", Code: "resource_missing", Param: "items", Message: "No such subscription item: '" + l.item + "'"}
		case l.item == "" && l.price != nil:
			items = append(items, s.item(sub, l))
		case l.item == "":
			return invalid("items", "An item needs an id or a price.")
		case l.deleted:
			items = slices.Delete(items, i, i+1)
		default:
			changed := *items[i]
			changed.Quantity = l.quantity
			if l.price != nil {
				changed.Price = l.price.ID
			}
			items[i] = &changed
		}
	}
	if len(items) == 0 {
		return invalid("items", "A subscription must have at least one active plan.")
	}
	seen := map[string]bool{}
	for _, it := range items {
		if seen[it.Price] {
			return invalid("items", "Cannot add multiple subscription items with the same plan: %s", it.Price)
		}
		seen[it.Price] = true
	}
	return s.replace(sub, items, proration, behavior)
}

// replace makes items a subscription's, at a cost that depends on what is left
// of its period.
func (s *Server) replace(sub *Subscription, items []*SubscriptionItem, proration, behavior string) error {
	prorated := s.prorations(sub, items)
	apply := func() { s.apply(sub, items) }
	switch {
	case sub.Status == "trialing" || proration == "none" || len(prorated) == 0:
		apply()
		return nil
	case proration == "create_prorations" && !s.otherInterval(sub, items):
		apply()
		sub.Prorated = append(sub.Prorated, prorated...)
		return nil
	}
	if behavior == "pending_if_incomplete" {
		s.dropPending(sub)
	}
	before, latest := *sub, sub.LatestInvoice
	inv := s.bill(sub, "subscription_update", prorated)
	s.finalize(inv)
	if behavior == "pending_if_incomplete" {
		sub.PendingUpdate = &PendingUpdate{ExpiresAt: s.now(s.customer(sub.Customer)) + 23*60*60, Items: items, Invoice: inv.ID}
		s.attempt(inv, nil) // that it is paid applies the update
		return nil
	}
	apply()
	if !s.attempt(inv, nil) && behavior == "error_if_incomplete" {
		*sub = before
		sub.LatestInvoice = latest
		s.void(inv)
		return errDeclined
	}
	return nil
}

func (s *Server) otherInterval(sub *Subscription, items []*SubscriptionItem) bool {
	a, b := s.price(sub.Items.Data[0].Price).Recurring, s.price(items[0].Price).Recurring
	return a.Interval != b.Interval || a.IntervalCount != b.IntervalCount
}

// apply makes items a subscription's. Another interval begins a period.
func (s *Server) apply(sub *Subscription, items []*SubscriptionItem) {
	if s.otherInterval(sub, items) && sub.Status != "trialing" {
		now := s.now(s.customer(sub.Customer))
		sub.BillingCycleAnchor, sub.CurrentPeriodStart, sub.CurrentPeriodEnd = now, now, s.price(items[0].Price).after(now, 1)
	}
	sub.Items.Data = items
	s.follow(sub)
}
