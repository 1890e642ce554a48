package stripe

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Customers returns every customer, oldest first, those deleted too.
func (s *Server) Customers() []Customer { return copies[Customer](s, "customer", nil) }

// Deleted tells whether a customer was deleted.
func (s *Server) Deleted(customer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.customer(customer)
	return c != nil && c.Deleted
}

// Subscriptions returns a customer's subscriptions, newest first, those that
// ended too: the truth that whoever listens to webhooks must arrive at.
func (s *Server) Subscriptions(customer string) []Subscription {
	out := copies(s, "subscription", func(sub *Subscription) bool { return sub.Customer == customer })
	slices.Reverse(out)
	return out
}

// Invoices returns a customer's invoices, newest first.
func (s *Server) Invoices(customer string) []Invoice {
	out := copies(s, "invoice", func(inv *Invoice) bool { return inv.Customer == customer })
	slices.Reverse(out)
	return out
}

// Events returns every event, oldest first.
func (s *Server) Events() []Event { return s.EventsFrom(0) }

// EventsFrom returns the events behind the first n, oldest first.
func (s *Server) EventsFrom(n int) []Event {
	return copies(s, "event", func(*Event) bool { n--; return n < 0 })
}

// Endpoints returns the webhook endpoints with their secrets.
func (s *Server) Endpoints() []WebhookEndpoint {
	return copies[WebhookEndpoint](s, "webhook_endpoint", nil)
}

// copies are objects that share nothing with the stand-in.
func copies[T any, P interface {
	*T
	resource
}](s *Server, kind string, keep func(P) bool) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []T
	for _, res := range all[P](&s.store, kind) {
		if keep != nil && !keep(res) {
			continue
		}
		var c T
		body, err := json.Marshal(res)
		if err == nil {
			err = json.Unmarshal(body, &c)
		}
		if err != nil {
			panic(fmt.Sprintf("stripe: %T: %v", res, err)) // only for a type that cannot be JSON
		}
		out = append(out, c)
	}
	return out
}

// Dispute has the holder of a card contest a paid invoice.
func (s *Server) Dispute(invoice string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.save()
	inv, err := get[*Invoice](&s.store, invoice, "invoice")
	if err != nil {
		return err
	}
	ch, err := get[*Charge](&s.store, text(inv.Charge), "charge")
	if err != nil {
		return err
	}
	if !ch.Paid || ch.Disputed {
		return invalid("charge", "The charge cannot be disputed.")
	}
	ch.Disputed = true
	s.emit("charge.dispute.created", add(&s.store, "dp", "dispute", s.now(s.customer(inv.Customer)), &Dispute{Amount: ch.Amount, Charge: ch.ID, Currency: ch.Currency,
		Metadata: map[string]string{}, PaymentIntent: ch.PaymentIntent, Reason: "fraudulent", Status: "needs_response"}))
	return nil
}
