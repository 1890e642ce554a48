package stripe

import (
	"regexp"
	"time"
)

func (s *Server) createCustomer(r *request) (any, error) {
	c := &Customer{Email: r.optional("email"), Name: r.optional("name"), Description: r.optional("description"), Metadata: r.merge("metadata", nil),
		TestClock: r.optional("test_clock"), Balance: r.whole("balance", 0)}
	card := r.text("payment_method")
	def := r.at("invoice_settings").text("default_payment_method")
	if err := r.check(); err != nil {
		return nil, err
	}
	if c.TestClock != nil {
		if _, err := get[*TestClock](&s.store, *c.TestClock, "test_clock"); err != nil {
			return nil, err
		}
	}
	add(&s.store, "cus", "customer", s.now(c), c)
	for _, id := range []string{card, def} {
		if id == "" {
			continue
		}
		pm, err := s.cardOf(c, id)
		if err != nil {
			s.remove(c)
			return nil, err
		}
		if id == def {
			c.InvoiceSettings.DefaultPaymentMethod = &pm.ID
		}
	}
	s.emit("customer.created", c)
	return c, nil
}

func (s *Server) updateCustomer(r *request) (any, error) {
	c, err := s.livingCustomer(r.id, "id")
	if err != nil {
		return nil, err
	}
	next := *c
	next.Metadata, next.Balance = r.merge("metadata", c.Metadata), r.whole("balance", c.Balance)
	for name, field := range map[string]**string{"email": &next.Email, "name": &next.Name, "description": &next.Description} {
		if r.has(name) {
			*field = r.optional(name)
		}
	}
	def := r.at("invoice_settings").text("default_payment_method")
	if err := r.check(); err != nil {
		return nil, err
	}
	if def != "" {
		pm, err := s.cardOf(c, def)
		if err != nil {
			return nil, err
		}
		next.InvoiceSettings.DefaultPaymentMethod = &pm.ID
	}
	*c = next
	s.emit("customer.updated", c)
	return c, nil
}

func (s *Server) deleteCustomer(r *request) (any, error) {
	c, err := s.livingCustomer(r.id, "id")
	if err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	for _, sub := range all[*Subscription](&s.store, "subscription") {
		if sub.Customer == c.ID && !sub.over() {
			s.end(sub, "")
		}
	}
	s.emit("customer.deleted", c) // shows what it was
	c.Deleted = true
	return c, nil
}

// livingCustomer finds a customer that was not deleted.
func (s *Server) livingCustomer(id, param string) (*Customer, error) {
	c, err := get[*Customer](&s.store, id, param)
	if err == nil && c.Deleted {
		return nil, &Error{Status: 404, Type: "invalid_request_error", Code: "resource_missing", Param: param, Message: "No such customer: '" + id + "'"}
	}
	return c, err
}

func (s *Server) listCustomers(r *request) (any, error) {
	email, clock, created := r.text("email"), r.text("test_clock"), r.times("created")
	return s.page(r, "customer", func(res resource) bool {
		c := res.(*Customer)
		return !c.Deleted && (email == "" || text(c.Email) == email) && text(c.TestClock) == clock && created(c.Created)
	})
}

var byMetadata = regexp.MustCompile(`^\s*metadata\[["']([^"']+)["']\]\s*:\s*["']([^"']*)["']\s*$`)

// searchCustomers knows one form of query: metadata['key']:'value'.
func (s *Server) searchCustomers(r *request) (any, error) {
	m := byMetadata.FindStringSubmatch(r.need("query"))
	r.ignore("limit")
	if err := r.check(); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, invalid("query", "The stand-in searches customers by metadata['key']:'value' alone.")
	}
	data := []any{}
	for _, c := range all[*Customer](&s.store, "customer") {
		if !c.Deleted && c.Metadata[m[1]] == m[2] {
			data = append(data, s.show(c))
		}
	}
	return map[string]any{"object": "search_result", "url": r.path, "has_more": false, "next_page": nil, "data": data}, nil
}

// The cards of the pages, by Stripe's names of its test cards.
const (
	GoodCard     = "pm_card_visa"               // pays
	FailingCard  = "pm_card_chargeCustomerFail" // is taken, and fails whenever it is charged
	DeclinedCard = "pm_card_visa_chargeDeclined"
)

var last4 = map[string]string{GoodCard: "4242", FailingCard: "0341", DeclinedCard: "0002"}

var errDeclined = &Error{Status: 402, Type: "card_error", Code: "card_declined", DeclineCode: "generic_decline", Message: "Your card was declined."}

// cardOf is a customer's card: one of theirs by id, or a new one for the name of
// a test card.
func (s *Server) cardOf(c *Customer, id string) (*PaymentMethod, error) {
	if id == DeclinedCard {
		return nil, errDeclined
	}
	if digits, ok := last4[id]; ok {
		pm := &PaymentMethod{Customer: &c.ID, Type: "card", Metadata: map[string]string{},
			Card: Card{Brand: "visa", ExpMonth: 12, ExpYear: s.o.Clock.Now().Add(4 * 365 * 24 * time.Hour).Year(), Funding: "credit", Last4: digits}}
		add(&s.store, "pm", "payment_method", s.now(c), pm)
		s.emit("payment_method.attached", pm)
		return pm, nil
	}
	pm, err := get[*PaymentMethod](&s.store, id, "payment_method")
	if err == nil && text(pm.Customer) != c.ID {
		return nil, invalid("payment_method", "The payment method %s does not belong to the customer %s.", id, c.ID)
	}
	return pm, err
}

func (s *Server) attachCard(r *request) (any, error) {
	customer := r.need("customer")
	if err := r.check(); err != nil {
		return nil, err
	}
	c, err := s.livingCustomer(customer, "customer")
	if err != nil {
		return nil, err
	}
	pm, err := s.cardOf(c, r.id)
	if err != nil {
		return nil, err
	}
	return pm, nil
}

// text is the string that a field holds; empty for none.
func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// times reads a filter by time: a number, or gt, gte, lt, lte.
func (f *form) times(key string) func(int64) bool {
	at := f.at(key)
	if at.set {
		exact := f.whole(key, 0)
		return func(t int64) bool { return t == exact }
	}
	const always = 1 << 62
	gt, gte, lt, lte := at.whole("gt", -1), at.whole("gte", -1), at.whole("lt", always), at.whole("lte", always)
	return func(t int64) bool { return t > gt && t >= gte && t < lt && t <= lte }
}
