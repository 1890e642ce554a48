package stripe

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"
)

//go:embed pages.html
var pagesHTML string

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"dollars": func(cents int64) string { return fmt.Sprintf("$%d.%02d", cents/100, cents%100) },
	"day":     func(t int64) string { return time.Unix(t, 0).UTC().Format("2 January 2006 15:04 MST") },
	"text":    text,
}).Parse(pagesHTML))

// payView, portalView and invoiceView are what the pages of those names show.
type payView struct {
	Session *CheckoutSession
	Back    bool
	Error   string
}

type invoiceView struct {
	Invoice *Invoice
	Error   string
}

type portalView struct {
	Customer      *Customer
	Subscriptions []portalSubscription
	Features      PortalFeatures
	Prices        []portalPrice
	Back          bool
	Error         string
}

type portalSubscription struct {
	*Subscription
	Name string
	Cost int64
	Open *Invoice // unpaid
	Card string
}

type portalPrice struct {
	*Price
	Name string
}

func (s *Server) portalView(c *Customer, p *PortalConfiguration, bps *PortalSession) portalView {
	v := portalView{Customer: c, Features: p.Features, Back: bps.ReturnURL != nil}
	for _, sub := range all[*Subscription](&s.store, "subscription") {
		if sub.Customer != c.ID || sub.over() {
			continue
		}
		price := s.price(sub.Items.Data[0].Price)
		ps := portalSubscription{Subscription: sub, Name: known[*Product](&s.store, price.Product).Name, Cost: price.UnitAmount}
		if inv := known[*Invoice](&s.store, text(sub.LatestInvoice)); inv != nil {
			if inv.Status == "open" {
				ps.Open = inv
			}
			if pm := s.cardFor(inv); pm != nil {
				ps.Card = pm.Card.Last4
			}
		}
		v.Subscriptions = append(v.Subscriptions, ps)
	}
	for _, pp := range p.Features.SubscriptionUpdate.Products {
		for _, id := range pp.Prices {
			if price := s.price(id); price != nil {
				v.Prices = append(v.Prices, portalPrice{price, known[*Product](&s.store, price.Product).Name})
			}
		}
	}
	return v
}

func (s *Server) invoicePage(w http.ResponseWriter, r *http.Request) {
	s.visit(w, r, func(action string) (any, string, error) {
		inv, err := get[*Invoice](&s.store, r.PathValue("id"), "id")
		if err == nil && action != "" {
			if inv.Status != "open" {
				err = invalid("", "There is nothing to pay.")
			} else {
				err = s.pay(inv, action)
			}
		}
		return invoiceView{Invoice: inv}, "", err
	})
}

// overview is the stand-in's own page.
type overview struct {
	Now           int64
	Subscriptions []*Subscription
	Events        []*Event
	Waiting       int
	Faults        WebhookFaults
	Error         string
}

func (s *Server) overviewPage(w http.ResponseWriter, r *http.Request) {
	s.visit(w, r, func(action string) (any, string, error) {
		switch action {
		case "":
		case "advance":
			days, err := strconv.Atoi(r.FormValue("days"))
			if err != nil || days < 1 || days > 400 {
				return nil, "", invalid("days", "Days are a number from 1 to 400.")
			}
			s.ahead += int64(days) * day
			s.tick()
		case "faults":
			var f WebhookFaults
			for name, field := range map[string]*float64{"drop": &f.Drop, "duplicate": &f.Duplicate, "delay": &f.Delay, "forge": &f.Forge} {
				percent, err := strconv.Atoi(r.FormValue(name))
				if err != nil || percent < 0 || percent > 100 {
					return nil, "", invalid(name, "A chance is a number from 0 to 100.")
				}
				*field = float64(percent) / 100
			}
			f.DelayBy, f.Reorder = time.Minute, r.FormValue("reorder") != ""
			s.FailWebhooks(f)
		case "down":
			s.Fail(Fault{Down: true, Times: -1})
		case "heal":
			s.Heal()
		default:
			return nil, "", invalid("action", "There is no button %q.", action)
		}
		v := overview{Now: s.now(nil), Subscriptions: all[*Subscription](&s.store, "subscription"), Events: all[*Event](&s.store, "event"), Waiting: len(s.deliveries)}
		slices.Reverse(v.Subscriptions)
		slices.Reverse(v.Events)
		v.Events = v.Events[:min(len(v.Events), 30)]
		s.faults.mu.Lock()
		v.Faults = s.faults.webhooks
		s.faults.mu.Unlock()
		return v, "", nil
	})
}

// visit serves a page: it does what the pressed button says and shows the page,
// or sends the person on.
func (s *Server) visit(w http.ResponseWriter, r *http.Request, page func(action string) (view any, to string, err error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host = "http://" + r.Host
	action := ""
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
		if action = r.FormValue("action"); action == "" {
			action = "none"
		}
		defer s.save()
	}
	view, to, err := page(action)
	if to != "" && err == nil {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	var e *Error
	if errors.As(err, &e) {
		w.WriteHeader(e.Status)
	}
	name := "error"
	switch v := view.(type) {
	case payView:
		name, v.Error = "pay", message(err)
		view = v
	case portalView:
		name, v.Error = "portal", message(err)
		view = v
	case invoiceView:
		if v.Invoice != nil {
			name, v.Error = "invoice", message(err)
			view = v
		}
	case overview:
		name = "overview"
	}
	if name == "error" {
		view = message(err)
	}
	if err := pages.ExecuteTemplate(w, name, view); err != nil {
		s.o.Log("stripe: page %s: %v", name, err)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// base is where the pages are: where the last caller found the stand-in.
func (s *Server) base() string { return s.host }
