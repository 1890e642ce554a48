package stripe_test

import (
	"slices"
	"testing"
	"time"

	sdk "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"outpost/infra/local/stripe"
)

// ids are the events that were heard.
func (w *world) ids() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.heard {
		out = append(out, e.ID)
	}
	return out
}

func TestEveryEventIsHeardOnceAndDecodesToTheObject(t *testing.T) {
	w := newWorld(t)
	w.subscribe(w.pro)
	w.deliver()
	if n, want := len(w.ids()), len(w.Events()); n != want || len(w.refused) != 0 {
		t.Fatalf("%d of %d events heard, refused %v", n, want, w.refused)
	}
	for _, e := range w.heard {
		if e.APIVersion != stripe.APIVersion || e.Data.Object["id"] == nil || e.Created != start.Unix() {
			t.Errorf("%+v", e)
		}
		if e.Type == "customer.subscription.updated" && e.Data.PreviousAttributes["status"] != "incomplete" {
			t.Errorf("previous %v", e.Data.PreviousAttributes)
		}
	}
}

func TestAWebhookThatIsNotTakenComesAgain(t *testing.T) {
	w := newWorld(t)
	status := 500
	w.answer = func() int { return status }
	w.customer()
	w.deliver()
	undelivered := func() int {
		p := &sdk.EventListParams{DeliverySuccess: sdk.Bool(false), Type: sdk.String("customer.created")}
		n := 0
		for it := w.api.Events.List(p); it.Next(); n++ {
		}
		return n
	}
	if n := undelivered(); n != 1 {
		t.Fatalf("%d undelivered events", n)
	}
	if n := w.Deliver(t.Context()); n != 0 {
		t.Errorf("%d are sent again at once", n)
	}
	w.Advance(5 * time.Second)
	w.deliver()
	w.Advance(5 * time.Second)
	if n := w.Deliver(t.Context()); n != 0 {
		t.Errorf("%d come after 5 s the second time", n)
	}
	status = 200
	w.Advance(5 * time.Second)
	told(t, w.deliver(), "customer.created")
	if n := undelivered(); n != 0 {
		t.Errorf("%d undelivered events", n)
	}
	status = 500
	w.customer()
	w.deliver()
	for range 200 {
		w.Advance(time.Hour)
		w.deliver()
	}
	if w.Advance(24 * time.Hour); w.Deliver(t.Context()) != 0 {
		t.Error("after three days it is still tried")
	}
	if n := undelivered(); n != 1 {
		t.Errorf("%d undelivered events", n)
	}
}

func TestDroppedWebhooksStayUndelivered(t *testing.T) {
	w := newWorld(t)
	w.deliver()
	w.FailWebhooks(stripe.WebhookFaults{Drop: 1})
	w.customer()
	if got := w.deliver(); got != nil {
		t.Errorf("heard %v", got)
	}
	p := &sdk.EventListParams{DeliverySuccess: sdk.Bool(false), CreatedRange: &sdk.RangeQueryParams{GreaterThanOrEqual: start.Unix()}}
	it := w.api.Events.List(p)
	if !it.Next() || it.Event().Type != "customer.created" || it.Event().PendingWebhooks != 1 || it.Next() {
		t.Errorf("%+v", it.Event())
	}
}

func TestDuplicatedWebhooksCarryTheSameEvent(t *testing.T) {
	w := newWorld(t)
	w.deliver()
	before := len(w.ids())
	w.FailWebhooks(stripe.WebhookFaults{Duplicate: 1})
	w.customer()
	w.deliver()
	got := w.ids()[before:]
	if len(got) != 2 || got[0] != got[1] {
		t.Errorf("heard %v", got)
	}
	if e := w.Events(); e[len(e)-1].PendingWebhooks != 0 {
		t.Errorf("%d pending", e[len(e)-1].PendingWebhooks)
	}
}

func TestReorderedAndDelayedWebhooksAllArrive(t *testing.T) {
	var orders [][]string
	for range 2 {
		w := newWorld(t)
		w.deliver()
		w.FailWebhooks(stripe.WebhookFaults{Reorder: true, Delay: 0.5, DelayBy: time.Minute})
		w.subscribe(w.pro)
		first := w.deliver()
		w.Advance(time.Minute)
		rest := w.deliver()
		if len(first) == 0 || len(rest) == 0 || len(w.ids()) != len(w.Events()) {
			t.Fatalf("%d, then %d, of %d", len(first), len(rest), len(w.Events()))
		}
		if slices.Equal(append(first, rest...), kinds(w.Events())) {
			t.Error("they come in order")
		}
		orders = append(orders, w.ids())
	}
	if !slices.Equal(orders[0], orders[1]) {
		t.Error("the same seed gives another order")
	}
}

func kinds(events []stripe.Event) (out []string) {
	for _, e := range events {
		out = append(out, e.Type)
	}
	return out
}

func TestEveryForgeryIsOneThatAConsumerCanTell(t *testing.T) {
	w := newWorld(t)
	w.FailWebhooks(stripe.WebhookFaults{Forge: 1})
	for range 30 {
		w.customer()
	}
	w.deliver()
	forged := w.Forged()
	if len(forged) != 30 || len(w.refused) != 30 || len(w.ids()) != len(w.Events()) {
		t.Fatalf("%d forged, %d refused, %d of %d heard", len(forged), len(w.refused), len(w.ids()), len(w.Events()))
	}
	for _, id := range w.ids() {
		if slices.Contains(forged, id) {
			t.Errorf("the forged event %s was heard", id)
		}
	}
	why := slices.Compact(slices.Sorted(slices.Values(w.refused)))
	if len(why) != 4 { // signature, stale, version, and account or mode
		t.Errorf("refused because of %q", why)
	}
	w.Advance(time.Hour)
	if n := w.Deliver(t.Context()); n != 0 {
		t.Errorf("a forger tries %d again", n)
	}
}

func TestTakenWebhooksAreTheTestsToSend(t *testing.T) {
	w := newWorld(t)
	w.customer()
	taken := w.Take()
	if len(taken) != len(w.Events()) || w.Deliver(t.Context()) != 0 {
		t.Fatalf("%d taken of %d", len(taken), len(w.Events()))
	}
	r := must(w.Request(t.Context(), taken[0]))(t)
	body := make([]byte, r.ContentLength)
	if _, err := r.Body.Read(body); err != nil {
		t.Fatal(err)
	}
	if _, err := webhook.ConstructEventWithOptions(body, r.Header.Get("Stripe-Signature"), secret, webhook.ConstructEventOptions{IgnoreTolerance: true}); err != nil {
		t.Error(err)
	}
}

func TestAnEndpointHearsWhatItAskedForInItsVersion(t *testing.T) {
	w := newWorld(t)
	w.deliver()
	it := w.api.WebhookEndpoints.List(nil)
	if !it.Next() {
		t.Fatal("no endpoint")
	}
	old := it.WebhookEndpoint()
	if old.Secret != "" {
		t.Error("the secret is shown again")
	}
	must(w.api.WebhookEndpoints.Update(old.ID, &sdk.WebhookEndpointParams{Disabled: sdk.Bool(true)}))(t)
	made := must(w.api.WebhookEndpoints.New(&sdk.WebhookEndpointParams{URL: &old.URL, APIVersion: sdk.String("2022-11-15"), EnabledEvents: sdk.StringSlice([]string{"customer.subscription.*"})}))(t)
	if len(made.Secret) < 20 || made.Secret[:6] != "whsec_" {
		t.Errorf("secret %q", made.Secret)
	}
	w.subscribe(w.pro)
	for _, d := range w.Take() {
		r := must(w.Request(t.Context(), d))(t)
		body := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(body)
		e, err := webhook.ConstructEventWithOptions(body, r.Header.Get("Stripe-Signature"), made.Secret, webhook.ConstructEventOptions{IgnoreTolerance: true, IgnoreAPIVersionMismatch: true})
		if err != nil || e.APIVersion != "2022-11-15" || e.Type[:22] != "customer.subscription." {
			t.Errorf("%s of %s: %v", e.Type, e.APIVersion, err)
		}
	}
	must(w.api.WebhookEndpoints.Del(made.ID, nil))(t)
	w.customer()
	if n := len(w.Take()); n != 0 {
		t.Errorf("%d for nobody", n)
	}
}
