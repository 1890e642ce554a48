package stripe_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
	"github.com/stripe/stripe-go/v76/webhook"

	"outpost/infra/local/stripe"
	"outpost/shared/clock"
)

const (
	key    = "sk_" + "test_x"
	secret = "whsec_" + "x"
)

var start = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// world is a stand-in with a shop of two prices, the SDK, and a consumer of its
// webhooks.
type world struct {
	t *testing.T
	*stripe.Server
	clock           *clock.Manual
	url             string
	api             *client.API
	pro, enterprise string // prices

	mu      sync.Mutex
	heard   []sdk.Event
	refused []string // of webhooks that are not genuine: why
	answer  func() int
}

func newWorld(t *testing.T, change ...func(*stripe.Options)) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewManual(start)}
	consumer := httptest.NewServer(w)
	t.Cleanup(consumer.Close)
	o := stripe.Options{Clock: w.clock, Seed: 7, URL: consumer.URL, Secret: secret}
	for _, c := range change {
		c(&o)
	}
	w.open(o)
	product := must(w.api.Products.New(&sdk.ProductParams{Name: sdk.String("Outpost")}))(t)
	price := func(key string, cents int64) string {
		return must(w.api.Prices.New(&sdk.PriceParams{Product: &product.ID, Currency: sdk.String("usd"), UnitAmount: &cents, LookupKey: &key,
			Recurring: &sdk.PriceRecurringParams{Interval: sdk.String("month")}}))(t).ID
	}
	w.pro, w.enterprise = price("outpost_pro", 2900), price("outpost_enterprise", 19900)
	return w
}

// open starts the stand-in.
func (w *world) open(o stripe.Options) {
	w.t.Helper()
	var err error
	if w.Server, err = stripe.New(o); err != nil {
		w.t.Fatal(err)
	}
	server := httptest.NewServer(w.Server)
	w.t.Cleanup(server.Close)
	w.url, w.api = server.URL, sdkFor(server.URL)
}

// sdkFor is the SDK over an address, without retries.
func sdkFor(url string) *client.API {
	config := &sdk.BackendConfig{URL: &url, MaxNetworkRetries: sdk.Int64(0), LeveledLogger: &sdk.LeveledLogger{Level: sdk.LevelNull}, HTTPClient: &http.Client{}}
	backend := sdk.GetBackendWithConfig(sdk.APIBackend, config)
	return client.New(key, &sdk.Backends{API: backend, Connect: backend, Uploads: backend})
}

// ServeHTTP hears a webhook, as production does.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := webhook.ConstructEventWithOptions(body, r.Header.Get("Stripe-Signature"), secret, webhook.ConstructEventOptions{IgnoreTolerance: true})
	stamp, _, _ := strings.Cut(r.Header.Get("Stripe-Signature"), ",")
	switch {
	case err != nil:
		w.refused = append(w.refused, err.Error())
	case stamp != "t="+strconv.FormatInt(w.clock.Now().Unix(), 10):
		w.refused = append(w.refused, "stale")
	case e.Livemode || e.Account != "":
		w.refused = append(w.refused, "of another account or mode")
	default:
		status := 200
		if w.answer != nil {
			status = w.answer()
		}
		if status == 200 {
			w.heard = append(w.heard, e)
		}
		rw.WriteHeader(status)
		return
	}
	rw.WriteHeader(400)
}

// deliver sends what is due and returns the types that were heard since.
func (w *world) deliver() []string {
	w.t.Helper()
	w.mu.Lock()
	before := len(w.heard)
	w.mu.Unlock()
	w.Deliver(w.t.Context())
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.heard[before:] {
		out = append(out, string(e.Type))
	}
	return out
}

// told makes sure that events of some types were among those.
func told(t *testing.T, got []string, want ...string) {
	t.Helper()
	for _, kind := range want {
		if !slices.Contains(got, kind) {
			t.Errorf("no %s among %v", kind, got)
		}
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// checkout opens a session of a customer for a price.
func (w *world) checkout(customer, price string) *sdk.CheckoutSession {
	w.t.Helper()
	return must(w.api.CheckoutSessions.New(&sdk.CheckoutSessionParams{Customer: &customer, Mode: sdk.String("subscription"),
		SuccessURL: sdk.String(w.url + "/ok?session={CHECKOUT_SESSION_ID}"), CancelURL: sdk.String(w.url + "/back"),
		LineItems:        []*sdk.CheckoutSessionLineItemParams{{Price: &price, Quantity: sdk.Int64(1)}},
		SubscriptionData: &sdk.CheckoutSessionSubscriptionDataParams{Metadata: map[string]string{"tenant": "ten_1"}}}))(w.t)
}

// customer makes a customer of a tenant.
func (w *world) customer() string {
	w.t.Helper()
	return must(w.api.Customers.New(&sdk.CustomerParams{Email: sdk.String("a@example.com"), Name: sdk.String("A"), Metadata: map[string]string{"tenant": "ten_1"}}))(w.t).ID
}

// subscribe makes a customer with a subscription.
func (w *world) subscribe(price string) (customer, sub string) {
	w.t.Helper()
	customer = w.customer()
	if _, err := w.Checkout(w.checkout(customer, price).ID, stripe.GoodCard); err != nil {
		w.t.Fatal(err)
	}
	return customer, w.Subscriptions(customer)[0].ID
}

func (w *world) sub(id string) *sdk.Subscription {
	w.t.Helper()
	p := &sdk.SubscriptionParams{}
	p.AddExpand("latest_invoice.payment_intent")
	p.AddExpand("schedule")
	return must(w.api.Subscriptions.Get(id, p))(w.t)
}

// is makes sure of a subscription's status and price.
func (w *world) is(id, status, price string) {
	w.t.Helper()
	sub := w.sub(id)
	if string(sub.Status) != status || sub.Items.Data[0].Price.ID != price {
		w.t.Fatalf("%s at %s, want %s at %s", sub.Status, sub.Items.Data[0].Price.ID, status, price)
	}
}

const day = 24 * time.Hour
