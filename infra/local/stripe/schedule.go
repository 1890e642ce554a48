package stripe

import "slices"

func (s *Server) createSchedule(r *request) (any, error) {
	from, metadata := r.need("from_subscription"), r.merge("metadata", nil)
	if err := r.check(); err != nil {
		return nil, err
	}
	sub, err := get[*Subscription](&s.store, from, "from_subscription")
	if err != nil {
		return nil, err
	}
	if sub.over() || sub.Schedule != nil {
		return nil, invalid("from_subscription", "You cannot migrate a subscription that is already attached to a schedule, or has ended: %s.", text(sub.Schedule))
	}
	if sub.CancelAt != nil {
		return nil, invalid("from_subscription", "The stand-in makes no schedule from a subscription that is set to cancel.")
	}
	span := Span{sub.CurrentPeriodStart, sub.CurrentPeriodEnd}
	phase := &Phase{Object: "_phase", Span: span, Currency: sub.Currency, Metadata: map[string]string{}, ProrationBehavior: "create_prorations"}
	for _, it := range sub.Items.Data {
		phase.Items = append(phase.Items, &PhaseItem{Object: "_phase_item", Metadata: map[string]string{}, Price: it.Price, Quantity: it.Quantity})
	}
	sch := add(&s.store, "sub_sched", "subscription_schedule", s.now(s.customer(sub.Customer)), &Schedule{CurrentPhase: &span, Customer: sub.Customer,
		EndBehavior: "release", Metadata: metadata, Phases: []*Phase{phase}, Status: "active", Subscription: &sub.ID, TestClock: sub.TestClock})
	sub.Schedule = &sch.ID
	s.emit("subscription_schedule.created", sch)
	s.emit("customer.subscription.updated", sub)
	return sch, nil
}

func (s *Server) updateSchedule(r *request) (any, error) {
	sch, sub, err := s.activeSchedule(r.id)
	if err != nil {
		return nil, err
	}
	next := *sch
	next.Metadata, next.EndBehavior = r.merge("metadata", sch.Metadata), sch.EndBehavior
	if r.has("end_behavior") {
		next.EndBehavior = r.oneOf("end_behavior", "release", "cancel")
	}
	r.ignore("proration_behavior")
	var bad error
	if r.has("phases") {
		next.Phases, bad = s.phases(r, sch)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if bad != nil {
		return nil, bad
	}
	now := s.now(s.customer(sch.Customer))
	current := slices.IndexFunc(next.Phases, func(p *Phase) bool { return p.StartDate <= now && now < p.EndDate })
	if current < 0 {
		return nil, invalid("phases", "The phases must include the current one.")
	}
	next.CurrentPhase = &next.Phases[current].Span
	*sch = next
	s.emit("subscription_schedule.updated", sch)
	return sch, s.enter(sub, sch.Phases[current], now)
}

// phases reads the phases of a schedule. Each begins where the one before ends.
func (s *Server) phases(r *request, sch *Schedule) (phases []*Phase, err error) {
	var end int64
	now := s.now(s.customer(sch.Customer))
	for i, f := range r.list("phases") {
		p := &Phase{Object: "_phase", Currency: sch.Phases[0].Currency, Metadata: f.merge("metadata", nil),
			ProrationBehavior: f.oneOf("proration_behavior", "create_prorations", "always_invoice", "none")}
		lines, bad := s.lines(f, "items")
		if bad != nil {
			return nil, bad
		}
		if len(lines) == 0 {
			return nil, invalid(f.name+"[items]", "Missing required param: %s[items].", f.name)
		}
		for _, l := range lines {
			if l.price == nil {
				return nil, invalid(f.name+"[items]", "Each item of a phase needs a price.")
			}
			p.Items = append(p.Items, &PhaseItem{Object: "_phase_item", Metadata: map[string]string{}, Price: l.price.ID, Quantity: l.quantity})
		}
		when := func(key string, absent int64) int64 {
			if f.text(key) == "now" {
				return now
			}
			return f.whole(key, absent)
		}
		p.StartDate = when("start_date", end)
		switch iterations := f.whole("iterations", 0); {
		case p.StartDate == 0:
			return nil, invalid(f.name+"[start_date]", "The first phase of a started schedule needs its start_date.")
		case i > 0 && p.StartDate != end:
			return nil, invalid(f.name+"[start_date]", "A phase begins where the one before it ends.")
		case i == 0 && p.StartDate != sch.Phases[0].StartDate:
			return nil, invalid(f.name+"[start_date]", "You can not modify the start date of the current phase.")
		case iterations > 0:
			p.EndDate = lines[0].price.after(p.StartDate, iterations)
		default:
			p.EndDate = when("end_date", lines[0].price.after(p.StartDate, 1))
		}
		if p.EndDate <= p.StartDate {
			return nil, invalid(f.name+"[end_date]", "A phase must end after it begins.")
		}
		end = p.EndDate
		phases = append(phases, p)
	}
	return phases, nil
}

// activeSchedule finds a schedule that still runs, and its subscription.
func (s *Server) activeSchedule(id string) (*Schedule, *Subscription, error) {
	sch, err := get[*Schedule](&s.store, id, "id")
	if err != nil {
		return nil, nil, err
	}
	if sch.Status != "active" {
		return nil, nil, invalid("", "You cannot change a subscription schedule that is in the `%s` status.", sch.Status)
	}
	return sch, known[*Subscription](&s.store, *sch.Subscription), nil
}

// enter makes a subscription what a phase says.
func (s *Server) enter(sub *Subscription, p *Phase, now int64) error {
	var items []*SubscriptionItem
	same := len(p.Items) == len(sub.Items.Data)
	for i, it := range p.Items {
		item := s.item(sub, line{price: s.price(it.Price), quantity: it.Quantity})
		if i < len(sub.Items.Data) {
			item.ID = sub.Items.Data[i].ID
			same = same && sub.Items.Data[i].Price == it.Price && sub.Items.Data[i].Quantity == it.Quantity
		}
		items = append(items, item)
	}
	if same {
		return nil
	}
	proration := p.ProrationBehavior
	if now >= sub.CurrentPeriodEnd {
		proration = "none" // nothing of the period is left
	}
	err := s.replace(sub, items, proration, "allow_incomplete")
	s.emit("customer.subscription.updated", sub)
	return err
}

// follow keeps the current phase of a subscription's schedule what the
// subscription is.
func (s *Server) follow(sub *Subscription) {
	if sub.Schedule == nil {
		return
	}
	sch := known[*Schedule](&s.store, *sub.Schedule)
	for _, p := range sch.Phases {
		if p.StartDate == sch.CurrentPhase.StartDate {
			p.Items = nil
			for _, it := range sub.Items.Data {
				p.Items = append(p.Items, &PhaseItem{Object: "_phase_item", Metadata: map[string]string{}, Price: it.Price, Quantity: it.Quantity})
			}
		}
	}
}

// nextPhase goes on from a phase that is over.
func (s *Server) nextPhase(sch *Schedule) {
	sub, now := known[*Subscription](&s.store, *sch.Subscription), s.now(s.customer(sch.Customer))
	i := slices.IndexFunc(sch.Phases, func(p *Phase) bool { return p.StartDate == sch.CurrentPhase.EndDate })
	switch {
	case i >= 0:
		sch.CurrentPhase = &sch.Phases[i].Span
		s.emit("subscription_schedule.updated", sch)
		_ = s.enter(sub, sch.Phases[i], now) // allow_incomplete is never refused
	case sch.EndBehavior == "cancel":
		sch.Status, sch.CompletedAt, sch.CurrentPhase, sub.Schedule = "completed", &now, nil, nil
		s.emit("subscription_schedule.completed", sch)
		s.end(sub, "cancellation_requested")
	default:
		s.release(sch, sub)
	}
}

func (s *Server) release(sch *Schedule, sub *Subscription) {
	now := s.now(s.customer(sch.Customer))
	sch.Status, sch.ReleasedAt, sch.Released, sch.Subscription, sch.CurrentPhase, sub.Schedule = "released", &now, &sub.ID, nil, nil, nil
	s.emit("subscription_schedule.released", sch)
	s.emit("customer.subscription.updated", sub)
}

func (s *Server) releaseSchedule(r *request) (any, error) {
	sch, sub, err := s.activeSchedule(r.id)
	if err != nil {
		return nil, err
	}
	r.ignore("preserve_cancel_date")
	if err := r.check(); err != nil {
		return nil, err
	}
	s.release(sch, sub)
	return sch, nil
}

func (s *Server) cancelSchedule(r *request) (any, error) {
	sch, sub, err := s.activeSchedule(r.id)
	if err != nil {
		return nil, err
	}
	r.ignore("invoice_now", "prorate")
	if err := r.check(); err != nil {
		return nil, err
	}
	s.end(sub, "cancellation_requested")
	return sch, nil
}

func (s *Server) listSchedules(r *request) (any, error) {
	customer := r.text("customer")
	return s.page(r, "subscription_schedule", func(res resource) bool { return customer == "" || res.(*Schedule).Customer == customer })
}
