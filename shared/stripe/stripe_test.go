package stripe_test

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
	"github.com/stripe/stripe-mock/embedded"
	mock "github.com/stripe/stripe-mock/server"

	"outpost/infra/local/guarantee"
	standin "outpost/infra/local/stripe"
	"outpost/shared/billing"
	"outpost/shared/clock"
	"outpost/shared/platform"
	"outpost/shared/stripe"
)

var (
	keys  = platform.Stripe{Key: "sk_" + "test_x", WebhookSecret: "whsec_" + "x"}
	start = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
)

// shop is a stand-in that sells the paid plans, and the client under test.
type shop struct {
	*standin.Server
	clock *clock.Manual
	*stripe.Client
	prices       billing.Prices
	product, url string
	sdk          *client.API
}

func open(t *testing.T, seed uint64) *shop {
	t.Helper()
	s := &shop{clock: clock.NewManual(start)}
	var err error
	if s.Server, err = standin.New(standin.Options{Clock: s.clock, Seed: seed}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Server)
	t.Cleanup(server.Close)
	s.url = server.URL
	if s.Client, err = stripe.New(stripe.Options{Keys: keys, Base: s.url, Clock: s.clock}); err != nil {
		t.Fatal(err)
	}
	s.reach()
	product, err := s.sdk.Products.New(&sdk.ProductParams{Name: sdk.String("Outpost")})
	if err != nil {
		t.Fatal(err)
	}
	s.product = product.ID
	for _, name := range []string{"pro", "enterprise"} {
		p, err := s.sdk.Prices.New(&sdk.PriceParams{Product: &s.product, Currency: sdk.String("usd"), UnitAmount: sdk.Int64(int64(billing.Cost(name)) * 100),
			Recurring: &sdk.PriceRecurringParams{Interval: sdk.String("month")}})
		if err != nil {
			t.Fatal(err)
		}
		s.prices = append(s.prices, billing.Price{ID: p.ID, Plan: name})
	}
	return s
}

// customer makes the one customer that most tests need.
func (s *shop) customer(t *testing.T) string {
	t.Helper()
	id, err := s.Customer(t.Context(), "ten_1", 0, "A", "a@example.com")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// past makes a price that was once sold.
func (s *shop) past(t *testing.T, cents int64) string {
	t.Helper()
	p, err := s.sdk.Prices.New(&sdk.PriceParams{Product: &s.product, Currency: sdk.String("usd"), UnitAmount: &cents, Recurring: &sdk.PriceRecurringParams{Interval: sdk.String("month")}})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// reach makes the SDK that arranges what a test needs.
func (s *shop) reach() {
	backend := sdk.GetBackendWithConfig(sdk.APIBackend, &sdk.BackendConfig{URL: &s.url, MaxNetworkRetries: sdk.Int64(0), LeveledLogger: &sdk.LeveledLogger{Level: sdk.LevelNull}})
	s.sdk = client.New(keys.Key, &sdk.Backends{API: backend, Connect: backend, Uploads: backend})
}

// wish is a tenant's wish for a plan.
func (s *shop) wish(tenant, customer, plan string) stripe.Checkout {
	price, _ := s.prices.Of(plan)
	return stripe.Checkout{Tenant: tenant, Customer: customer, Price: price, SuccessURL: "http://127.0.0.1/ok?s={CHECKOUT_SESSION_ID}", CancelURL: "http://127.0.0.1/"}
}

// living counts subscriptions that go on.
func (s *shop) living(customer string) (n int) {
	for _, sub := range s.Server.Subscriptions(customer) {
		if !billing.Status(sub.Status).Over() {
			n++
		}
	}
	return n
}

func TestGuaranteeTwoTabsADoubleClickAndLostAnswersMakeOneSubscription(t *testing.T) {
	g := guarantee.For(t, "billing-4", "Two tabs with different plans, each clicked twice at once, pages paid while others are opened, answers of Stripe lost, failures that it keeps and replays: one customer, one subscription")
	seeds := g.Pick(300, 15)
	var mu sync.Mutex
	var lost, pages, refused int
	for seed := range seeds {
		s := open(t, uint64(seed))
		chance := rand.New(rand.NewPCG(uint64(seed), 4))
		for range 12 {
			f := standin.Fault{Path: []string{"/v1/customers", "/v1/checkout", "/v1/subscriptions"}[chance.IntN(3)], Times: 1, LoseAnswer: true}
			if chance.IntN(2) == 0 {
				f.Kept, f.Status, f.Done, f.LoseAnswer = true, 500, chance.IntN(2) == 0, chance.IntN(2) == 0
			}
			s.Fail(f)
		}
		var people sync.WaitGroup
		for _, plan := range []string{"pro", "pro", "enterprise", "enterprise"} {
			people.Go(func() {
				for range 100 { // a person clicks again until there is a page, or a subscription
					customer, err := s.Customer(t.Context(), "ten_1", 0, "A", "a@example.com")
					var page string
					if err == nil {
						page, err = s.Open(t.Context(), s.wish("ten_1", customer, plan))
					}
					if errors.Is(err, stripe.ErrSubscribed) {
						return
					}
					if err == nil {
						_, err = s.Checkout(path.Base(page), standin.GoodCard)
						mu.Lock()
						pages++
						if err != nil {
							refused++
						}
						mu.Unlock()
						if err == nil {
							return
						}
						continue
					}
					mu.Lock()
					lost++
					mu.Unlock()
				}
				t.Errorf("seed %d: after 100 clicks there is neither a page nor a subscription", seed)
			})
		}
		people.Wait()
		if n := len(s.Customers()); n != 1 {
			t.Fatalf("seed %d: %d customers", seed, n)
		}
		customer := s.Customers()[0]
		if n := s.living(customer.ID); n != 1 || customer.Metadata["tenant"] != "ten_1" {
			t.Fatalf("seed %d: %d subscriptions of %+v", seed, n, customer)
		}
	}
	g.Figure("seeds", seeds)
	g.Figure("clicks that failed on a lost answer, a failure that was kept, or another caller", lost)
	g.Figure("pages paid or found closed", pages)
	g.Figure("of them closed", refused)
}

func TestGuaranteeRequestsPassAgainstStripeMock(t *testing.T) {
	g := guarantee.For(t, "billing-5", "Every call of the adapter passes against stripe-mock v0.185.0")
	old := os.Stdout
	os.Stdout, _ = os.OpenFile(os.DevNull, os.O_WRONLY, 0) // stripe-mock prints each request
	defer func() { os.Stdout = old }()
	fixtures, err := mock.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		t.Fatal(err)
	}
	description, err := mock.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		t.Fatal(err)
	}
	stub, err := mock.NewStubServer(fixtures, description, false, false)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]bool{}
	is := map[string]any{}         // what the next move finds
	spent := map[string][]string{} // the failures that are kept under a call's next keys
	status := ""                   // of the mock's one subscription; no subscription at all when empty
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		stub.HandleRequest(answer, r)
		calls[r.Method+" "+ids.ReplaceAllString(r.URL.Path, "/{id}")] = true
		if answer.Code != 200 {
			t.Errorf("%s %s: %d %s", r.Method, r.URL.Path, answer.Code, answer.Body)
		}
		body := answer.Body.String()
		if kept := spent[r.Method+" "+r.URL.Path]; len(kept) > 0 {
			spent[r.Method+" "+r.URL.Path] = kept[1:]
			w.Header().Set("Idempotent-Replayed", "true")
			answer.Code, body = 500, `{"error": {"type": "`+kept[0]+`"}}`
		}
		if r.URL.Path == "/v1/subscriptions" {
			body = active.ReplaceAllString(body, `"status":"`+status+`"`)
			if status == "" {
				body = `{"object": "list", "data": [], "has_more": false, "url": "/v1/subscriptions"}`
			}
		}
		if r.Method == "DELETE" {
			status = "" // the one subscription is canceled
		}
		if r.Method == "GET" && r.URL.Path == "/v1/subscriptions/sub_1" {
			body = with(body, is)
		}
		if r.Method == "POST" && r.URL.Path == "/v1/subscription_schedules" {
			phase := map[string]any{"start_date": 1, "end_date": 2, "items": []any{map[string]any{"price": "price_1"}}}
			body = with(body, map[string]any{"phases": []any{phase}}) // the mock's has none
		}
		if r.Method == "GET" && r.URL.Path == "/v1/prices" { // the mock's is Outpost's, and costs what enterprise does
			body = regexp.MustCompile(`"metadata":\s*(\{\s*\}|null)`).ReplaceAllString(body, `"metadata": {"outpost": "plan"}`)
			body = regexp.MustCompile(`"unit_amount":\s*\d+`).ReplaceAllString(body, `"unit_amount": 19900`)
		}
		if r.URL.Path == "/v1/products/outpost_pro" { // one product is not there yet
			answer.Code, body = 404, `{"error": {"type": "invalid_request_error", "code": "resource_missing"}}`
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	c, err := stripe.New(stripe.Options{Keys: keys, Base: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Customer(t.Context(), "ten_1", 0, "A", "a@example.com"); err != nil {
		t.Error(err)
	}
	wish := stripe.Checkout{Tenant: "ten_1", Customer: "cus_1", Price: "price_1", SuccessURL: "https://x.example", CancelURL: "https://x.example"}
	if _, err := c.Open(t.Context(), wish); err != nil {
		t.Error(err)
	}
	spent["POST /v1/customers"], spent["POST /v1/checkout/sessions"] = []string{"api_error"}, []string{"api_error", "idempotency_error", "idempotency_error"}
	if _, err := c.Customer(t.Context(), "ten_1", 0, "A", "a@example.com"); err != nil {
		t.Error(err)
	}
	if _, err := c.Open(t.Context(), wish); err == nil || len(spent["POST /v1/checkout/sessions"]) != 0 {
		t.Errorf("%v, and there is left %v", err, spent)
	}
	status = "incomplete"
	if _, err := c.Open(t.Context(), wish); err != nil {
		t.Error(err)
	}
	status = "past_due"
	if subs, err := c.Subscriptions(t.Context(), "cus_1"); err != nil || len(subs) != 1 || subs[0].Status != billing.PastDue {
		t.Errorf("%+v, %v", subs, err)
	}
	if _, err := c.Portal(t.Context(), "cus_1", "https://x.example"); err != nil {
		t.Error(err)
	}
	if s, err := c.Session(t.Context(), "cs_1"); err != nil || s.Complete {
		t.Errorf("%+v, %v", s, err)
	}
	for _, is = range []map[string]any{{},
		{"schedule": map[string]any{"id": "sub_sched_1", "object": "subscription_schedule", "status": "active"}},
		{"pending_update": map[string]any{"expires_at": 1}, "latest_invoice": map[string]any{"id": "in_1", "object": "invoice", "status": "open", "billing_reason": "subscription_update"}},
		{"cancel_at_period_end": true, "cancel_at": 1}, {"cancel_at": 1}} {
		for _, m := range []billing.Move{billing.Stay, billing.Rise, billing.Fall, billing.Leave} {
			if err := c.Move(t.Context(), "sub_1", m, "price_2"); err != nil {
				t.Error(m, err)
			}
		}
	}
	if err := c.Move(t.Context(), "sub_1", "elsewhere", ""); err == nil {
		t.Error("a move that there is not")
	}
	_ = c.Check(t.Context(), billing.Prices{{ID: "price_1", Plan: "pro"}}) // the mock's price costs something else
	if _, err := c.Setup(t.Context(), "https://x.example/hook", "https://x.example"); err != nil {
		t.Error(err)
	}
	want := []string{"DELETE /v1/subscriptions/{id}", "GET /v1/billing_portal/configurations", "GET /v1/checkout/sessions", "GET /v1/checkout/sessions/{id}", "GET /v1/customers", "GET /v1/customers/{id}", "GET /v1/invoices", "GET /v1/prices", "GET /v1/prices/{id}", "GET /v1/products/{id}",
		"GET /v1/subscriptions", "GET /v1/subscriptions/{id}", "GET /v1/webhook_endpoints", "POST /v1/billing_portal/configurations", "POST /v1/billing_portal/sessions",
		"POST /v1/checkout/sessions", "POST /v1/checkout/sessions/{id}/expire", "POST /v1/customers", "POST /v1/customers/{id}", "POST /v1/invoices/{id}/void",
		"POST /v1/prices", "POST /v1/prices/{id}", "POST /v1/products", "POST /v1/products/{id}", "POST /v1/subscription_schedules", "POST /v1/subscription_schedules/{id}", "POST /v1/subscription_schedules/{id}/release",
		"POST /v1/subscriptions/{id}", "POST /v1/webhook_endpoints"}
	if got := slices.Sorted(maps.Keys(calls)); !slices.Equal(got, want) {
		t.Errorf("called %v, want %v", got, want)
	}
	g.Figure("operations", len(calls))
}

var (
	ids    = regexp.MustCompile(`/(cus|cs|price|outpost|sub|sub_sched|in)_[0-9A-Za-z_]+`) // in paths
	active = regexp.MustCompile(`"status":\s*"active"`)
)

// with is a JSON object with other fields.
func with(body string, fields map[string]any) string {
	object := map[string]any{}
	if json.Unmarshal([]byte(body), &object) != nil {
		return body
	}
	maps.Copy(object, fields)
	changed, _ := json.Marshal(object) // what was JSON before
	return string(changed)
}

func TestGuaranteeNoClientWithoutTheRightKeys(t *testing.T) {
	g := guarantee.For(t, "billing-7", "No client is made without a whsec_ secret, with a live key in a test environment or the other way round; a price that Stripe does not sell as the plan says is an error")
	live := platform.Stripe{Key: "sk_" + "live_x", WebhookSecret: keys.WebhookSecret}
	wrong := []stripe.Options{{}, {Keys: platform.Stripe{Key: keys.Key}}, {Keys: platform.Stripe{Key: keys.Key, WebhookSecret: "whsec_"}}, {Keys: live}, {Keys: keys, Live: true},
		{Keys: platform.Stripe{Key: "pk_" + "test_x", WebhookSecret: keys.WebhookSecret}}}
	for _, o := range wrong {
		if c, err := stripe.New(o); err == nil || c != nil || strings.Contains(err.Error(), "_x") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := stripe.New(stripe.Options{Keys: live, Live: true}); err != nil {
		t.Error(err)
	}
	s := open(t, 1)
	if err := s.Check(t.Context(), s.prices); err != nil {
		t.Error(err)
	}
	pro, _ := s.prices.Of("pro")
	for why, prices := range map[string]billing.Prices{"a price that Stripe does not know": {{ID: "price_none", Plan: "pro"}}, "another plan's price": {{ID: pro, Plan: "enterprise"}}} {
		if err := s.Check(t.Context(), prices); err == nil {
			t.Errorf("%s is accepted", why)
		}
	}
	if _, err := s.sdk.Prices.Update(pro, &sdk.PriceParams{Active: sdk.Bool(false)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context(), s.prices); err == nil {
		t.Error("a price that is not sold any more is accepted")
	}
	g.Figure("wrong settings", len(wrong)+3)
}
