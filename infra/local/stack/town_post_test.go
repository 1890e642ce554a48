package stack_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	standin "outpost/infra/local/stripe"
	"outpost/shared/stripe"
)

// collect puts what has happened into the bag: each event that Outpost listens to
// three times, and as every tenth letter one that nobody may believe.
func (c *town) collect() {
	c.t.Helper()
	all := c.Stack.Stripe.Fake.EventsFrom(c.known)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range all {
		if !slices.Contains(stripe.Events, e.Type) {
			continue
		}
		c.sent.events++
		if about(c.t, e) {
			c.expected = append(c.expected, e.ID)
		}
		for range 3 {
			c.bag = append(c.bag, letter{event: e.ID})
			if c.random.IntN(9) > 0 {
				continue
			}
			kinds := []string{"forged", "stale", "version", "livemode", "account"}
			forged := letter{e.ID, kinds[c.random.IntN(len(kinds))], fmt.Sprintf("evt_forged%014d", len(c.forged))}
			c.forged = append(c.forged, forged.forged)
			if c.random.IntN(2) == 0 {
				forged.forged = e.ID // of an event that there is: an old request that somebody repeats
			}
			c.bag = append(c.bag, forged)
		}
	}
	c.known += len(all)
	c.more.Broadcast()
}

// about tells whether an event is about a customer.
func about(t testing.TB, e standin.Event) bool {
	t.Helper()
	var object struct {
		Object   string
		Customer *string
	}
	if err := json.Unmarshal(e.Data.Object, &object); err != nil {
		t.Fatal(err)
	}
	return object.Object == "customer" || object.Customer != nil
}

// send sends letters, drawn from the bag by chance, until there are no more. What
// was not answered 200 goes back into the bag, as Stripe tries again.
func (c *town) send(random *rand.Rand) {
	client := &http.Client{Timeout: 40 * time.Second}
	for {
		c.mu.Lock()
		for len(c.bag) == 0 && !(c.done && c.out == 0) {
			c.more.Wait()
		}
		if len(c.bag) == 0 {
			c.mu.Unlock()
			return
		}
		i := random.IntN(len(c.bag))
		l := c.bag[i]
		c.bag[i] = c.bag[len(c.bag)-1]
		c.bag = c.bag[:len(c.bag)-1]
		c.out++
		c.mu.Unlock()

		status, took := c.post(client, l)
		c.mu.Lock()
		c.out--
		switch {
		case status == http.StatusOK && l.kind != "":
			c.t.Errorf("a letter that must be refused was taken: %+v", l)
		case status == http.StatusOK:
			c.sent.took = append(c.sent.took, took)
		case status >= 500 || status == 0:
			c.sent.failed++
			c.bag = append(c.bag, l)
		case l.kind == "" || status != http.StatusBadRequest:
			c.t.Errorf("%+v: %d", l, status)
		default:
			c.sent.forged++
		}
		c.more.Broadcast()
		c.mu.Unlock()
	}
}

// post sends one letter; a status of 0 is no answer.
func (c *town) post(client *http.Client, l letter) (status int, took time.Duration) {
	r, err := c.Stack.Stripe.Fake.Request(c.t.Context(), &standin.Delivery{Event: l.event, Endpoint: c.endpoint, Kind: l.kind, Forged: l.forged})
	if err != nil {
		c.t.Error(err)
		return http.StatusTeapot, 0
	}
	began := time.Now()
	res, err := client.Do(r)
	if err != nil {
		return 0, 0
	}
	took = time.Since(began)
	res.Body.Close()
	return res.StatusCode, took
}
