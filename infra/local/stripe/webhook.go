package stripe

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Delivery is one webhook on its way.
type Delivery struct {
	Event    string // its id
	Endpoint string // its id
	Attempt  int    // how many were made
	Due      int64  // Unix seconds of the stand-in's clock
	First    int64  // when it was first due
	Kind     string // "" for a genuine one; else what is wrong with it
	Forged   string // id of the event of one that is not genuine
	Copy     bool   // of another: it is not tried again
}

// The schedule of tries: 5 s, doubled up to an hour, for three days.
const (
	firstRetry  = 5
	longestWait = 60 * 60
	giveUpAfter = 3 * 24 * 60 * 60
)

// The kinds of deliveries that a consumer must refuse.
var forgeries = []string{"forged", "stale", "version", "livemode", "account"}

// queue makes the deliveries of an event to an endpoint, with their faults.
func (s *Server) queue(e *Event, w *WebhookEndpoint) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	f, chance := s.faults.webhooks, s.faults.rand.Float64
	now := s.o.Clock.Now().Unix() + s.ahead
	send := func(kind string) *Delivery {
		d := &Delivery{Event: e.ID, Endpoint: w.ID, Due: now, First: now, Kind: kind}
		s.deliveries = append(s.deliveries, d)
		return d
	}
	if chance() < f.Forge {
		d := send(forgeries[s.faults.rand.IntN(len(forgeries))])
		d.Forged = s.newID("evt")
		s.faults.forged = append(s.faults.forged, d.Forged)
	}
	if chance() < f.Drop {
		return // it stays pending for ever
	}
	late := func(d *Delivery) {
		if chance() < f.Delay {
			d.Due += s.faults.rand.Int64N(max(1, int64(f.DelayBy/time.Second)) + 1)
		}
	}
	late(send(""))
	if chance() < f.Duplicate {
		d := send("")
		d.Copy = true
		late(d)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Forged tells the ids of the events that no consumer may act on.
func (s *Server) Forged() []string {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return slices.Clone(s.faults.forged)
}

// Deliver sends every webhook that is due, one after the other, and returns how
// many it sent. A webhook that was not answered 2xx is due again later.
func (s *Server) Deliver(ctx context.Context) int {
	s.busy.Lock()
	defer s.busy.Unlock()
	due := s.due()
	for _, d := range due {
		r, err := s.Request(ctx, d)
		ok := false
		if err == nil {
			var answer *http.Response
			if answer, err = s.o.Client.Do(r); err == nil {
				answer.Body.Close()
				ok = answer.StatusCode/100 == 2
				err = fmt.Errorf("%s answered %d", r.URL, answer.StatusCode)
			}
		}
		if !ok && ctx.Err() == nil {
			s.o.Log("stripe: webhook %s, attempt %d: %v", d.Event, d.Attempt+1, err)
		}
		s.sent(d, ok)
	}
	return len(due)
}

// Take removes every webhook that is due and returns it unsent, as lost: for
// tests that send them in ways of their own, by Request.
func (s *Server) Take() []*Delivery {
	s.busy.Lock()
	defer s.busy.Unlock()
	return s.due()
}

// due takes what is due out of the queue.
func (s *Server) due() (due []*Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Clock.Now().Unix() + s.ahead
	s.deliveries = slices.DeleteFunc(s.deliveries, func(d *Delivery) bool {
		if d.Due <= now {
			due = append(due, d)
		}
		return d.Due <= now
	})
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.webhooks.Reorder {
		s.faults.rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	}
	return due
}

// sent records the end of an attempt.
func (s *Server) sent(d *Delivery, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Attempt++
	e := known[*Event](&s.store, d.Event)
	now := s.o.Clock.Now().Unix() + s.ahead
	switch {
	case d.Kind != "" || d.Copy || e == nil: // a forger does not try again
	case ok:
		e.PendingWebhooks--
	case now-d.First < giveUpAfter:
		d.Due = now + min(longestWait, int64(firstRetry)<<min(d.Attempt-1, 20))
		s.deliveries = append(s.deliveries, d)
	}
	s.save()
}

// Request makes the HTTP request of a webhook, signed now.
func (s *Server) Request(ctx context.Context, d *Delivery) (*http.Request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, w := known[*Event](&s.store, d.Event), known[*WebhookEndpoint](&s.store, d.Endpoint)
	if e == nil || w == nil {
		return nil, fmt.Errorf("the endpoint %s or the event %s is gone", d.Endpoint, d.Event)
	}
	out := s.show(e)
	out["api_version"] = APIVersion
	if w.APIVersion != nil {
		out["api_version"] = *w.APIVersion
	}
	at, secret := s.o.Clock.Now(), w.Secret
	if d.Kind != "" {
		out["id"] = d.Forged
	}
	switch d.Kind {
	case "forged":
		secret = "whsec_" + "of-somebody-else"
	case "stale":
		at = at.Add(-time.Hour)
	case "version":
		out["api_version"] = "2025-03-31.basil"
	case "livemode":
		out["livemode"] = true
	case "account":
		out["account"] = "acct_1Other"
	}
	body, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	r.Header.Set("Stripe-Signature", Sign(body, at, secret))
	return r, nil
}

// Sign is the Stripe-Signature of a body.
func Sign(body []byte, at time.Time, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.", at.Unix())
	mac.Write(body)
	return fmt.Sprintf("t=%d,v1=%x", at.Unix(), mac.Sum(nil))
}
