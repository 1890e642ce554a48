package stripe_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	sdk "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-mock/embedded"
	mock "github.com/stripe/stripe-mock/server"

	standin "outpost/infra/local/stripe"
	"outpost/shared/billing"
	"outpost/shared/clock"
	"outpost/shared/stripe"
)

// empty is an account in which nothing was set up.
func empty(t *testing.T) *shop {
	t.Helper()
	s := open(t, 9)
	var err error
	if s.Server, err = standin.New(standin.Options{Clock: clock.NewManual(start), Seed: 9}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Server)
	t.Cleanup(server.Close)
	s.url = server.URL
	if s.Client, err = stripe.New(stripe.Options{Keys: keys, Base: s.url}); err != nil {
		t.Fatal(err)
	}
	s.reach()
	return s
}

func TestSettingUpTwiceMakesEachThingOnce(t *testing.T) {
	s := empty(t)
	const hook, back = "https://x.example/webhooks/stripe", "https://x.example/"
	first, err := s.Setup(t.Context(), hook, back)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Prices) != 2 || !strings.HasPrefix(first.WebhookSecret, "whsec_") {
		t.Errorf("%v", first.Prices)
	}
	if err := s.Check(t.Context(), first.Prices); err != nil {
		t.Error(err)
	}
	made := len(s.Events())
	second, err := s.Setup(t.Context(), hook, back)
	if err != nil || second.Prices.String() != first.Prices.String() || second.WebhookSecret != "" {
		t.Errorf("%v, %v, then %v", err, first.Prices, second.Prices)
	}
	if n := len(s.Endpoints()); n != 1 || len(s.Events()) != made {
		t.Errorf("%d endpoints, %d events after %d", n, len(s.Events()), made)
	}
	if customer, err := s.Customer(t.Context(), "ten_1", 0, "A", "a@example.com"); err != nil {
		t.Error(err)
	} else if page, err := s.Portal(t.Context(), customer, back); err != nil || !strings.HasPrefix(page, s.url) {
		t.Errorf("%s, %v", page, err)
	}
}

// A price is replaced when the plan costs something else, whoever made it; who pays
// it is not forgotten, also not by the setups that follow.
func TestAPriceOfAnotherCostIsReplacedAndOfThePast(t *testing.T) {
	s := empty(t)
	product, err := s.sdk.Products.New(&sdk.ProductParams{ID: sdk.String("outpost_pro"), Name: sdk.String("Outpost pro")})
	if err != nil {
		t.Fatal(err)
	}
	make := func(cents int64, key *string) string {
		p, err := s.sdk.Prices.New(&sdk.PriceParams{Product: &product.ID, Currency: sdk.String("usd"), UnitAmount: &cents, LookupKey: key, Recurring: &sdk.PriceRecurringParams{Interval: sdk.String("month")}})
		if err != nil {
			t.Fatal(err)
		}
		return p.ID
	}
	old, friends := make(1900, sdk.String("outpost_pro")), make(500, nil)
	first, err := s.Setup(t.Context(), "https://x.example/hook", "https://x.example/")
	if err != nil {
		t.Fatal(err)
	}
	pro, ok := first.Prices.Of("pro")
	if !ok || pro == old || first.Prices.Plan(old) != "pro" || first.Prices.Plan(friends) != "" || len(first.Prices) != 3 {
		t.Errorf("%v, after %s", first.Prices, old)
	}
	if p, err := s.sdk.Prices.Get(old, nil); err != nil || !p.Active || p.LookupKey != "" {
		t.Errorf("%+v, %v", p, err)
	}
	if err := s.Check(t.Context(), first.Prices); err != nil {
		t.Error(err)
	}
	if _, err := s.sdk.Prices.Update(old, &sdk.PriceParams{Active: sdk.Bool(false)}); err != nil { // by hand
		t.Fatal(err)
	}
	w, steps := s.survey(t, stripe.Declared)
	second, err := w.Do(t.Context(), func(stripe.Step) {})
	if err != nil || second.Prices.String() != first.Prices.String() || slices.ContainsFunc(steps, func(s string) bool { return strings.Contains(s, "price") }) {
		t.Errorf("%v, then %v by %q, %v", first.Prices, second.Prices, steps, err)
	}
	if err := s.Check(t.Context(), second.Prices); err != nil {
		t.Errorf("an old price that Stripe does not sell: %v", err)
	}
}

// A cost that is taken back is that of a price that there is: those who paid it
// all along pay what is sold.
func TestACostThatComesBackIsSoldAtItsOldPrice(t *testing.T) {
	s := empty(t)
	before := s.oldPrice(t, int64(billing.Cost("pro"))*100)
	p := &sdk.PriceParams{Product: sdk.String("outpost_pro"), Currency: sdk.String("usd"), UnitAmount: sdk.Int64(4900), LookupKey: sdk.String("outpost_pro"), TransferLookupKey: sdk.Bool(true),
		Recurring: &sdk.PriceRecurringParams{Interval: sdk.String("month")}}
	p.AddMetadata("outpost", "plan")
	dear, err := s.sdk.Prices.New(p)
	if err != nil {
		t.Fatal(err)
	}
	w, steps := s.survey(t, stripe.Declared)
	if !slices.Contains(steps, "Sell the price "+before+" of the plan pro again.") {
		t.Errorf("%q", steps)
	}
	shop, err := w.Do(t.Context(), func(stripe.Step) {})
	if pro, _ := shop.Prices.Of("pro"); err != nil || pro != before || shop.Prices.Plan(dear.ID) != "pro" {
		t.Errorf("%v, %v", shop.Prices, err)
	}
	if w, steps := s.survey(t, stripe.Declared); len(steps) != 0 || len(s.active(t, "outpost_pro")) != 2 {
		t.Errorf("left %q, %v", steps, w)
	}
}

func TestAnEndpointIsMadeRightOrRefused(t *testing.T) {
	s := empty(t)
	const hook = "https://x.example/hook"
	w, err := s.sdk.WebhookEndpoints.New(&sdk.WebhookEndpointParams{URL: sdk.String(hook), APIVersion: sdk.String(sdk.APIVersion), EnabledEvents: sdk.StringSlice([]string{"invoice.paid"})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Setup(t.Context(), hook, "https://x.example/"); err != nil {
		t.Fatal(err)
	}
	if got := s.Endpoints(); len(got) != 1 || len(got[0].EnabledEvents) != len(stripe.Events) {
		t.Errorf("%+v", got)
	}
	if _, err := s.sdk.WebhookEndpoints.Del(w.ID, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.sdk.WebhookEndpoints.New(&sdk.WebhookEndpointParams{URL: sdk.String(hook), EnabledEvents: sdk.StringSlice([]string{"*"})}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Setup(t.Context(), hook, "https://x.example/"); err == nil || !strings.Contains(err.Error(), "delete it first") {
		t.Errorf("an endpoint of the account's own version: %v", err)
	}
}

var site = stripe.Site{Webhook: "https://x.example/webhooks/stripe", Return: "https://x.example/"}

// survey is what a setup would do, in words.
func (s *shop) survey(t *testing.T, d stripe.Declaration) (w stripe.Work, steps []string) {
	t.Helper()
	w, err := s.Survey(t.Context(), d, site)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range w.Steps {
		steps = append(steps, step.What)
	}
	return w, steps
}

func TestASurveyChangesNothing(t *testing.T) {
	s := empty(t)
	if _, steps := s.survey(t, stripe.Declared); len(steps) != 6 || len(s.Events()) != 0 || len(s.Endpoints()) != 0 {
		t.Errorf("%d events after a look that would do %q", len(s.Events()), steps)
	}
}

// Whatever step a setup breaks off at, with or without Stripe having done it, the
// next one makes the rest: each thing is there once, and the prices are sold.
func TestASetupThatBrokeOffIsEndedByTheNext(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for after := 0; ; after++ {
			s := empty(t)
			old := s.oldPrice(t, 1900)
			w, steps := s.survey(t, stripe.Declared)
			if after == len(steps) {
				break
			}
			done := 0
			fail := func() {
				s.Fail(standin.Fault{Path: "/v1/", Times: 1, Status: 500, LoseAnswer: lost})
			}
			if after == 0 {
				fail()
			}
			_, err := w.Do(t.Context(), func(stripe.Step) {
				if done++; done == after {
					fail()
				}
			})
			if err == nil || !strings.Contains(err.Error(), steps[after]) || done != after {
				t.Fatalf("after %d of %d steps: %d done, %v", after, len(steps), done, err)
			}
			s.Heal()
			w, _ = s.survey(t, stripe.Declared)
			shop, err := w.Do(t.Context(), func(stripe.Step) {})
			if err != nil {
				t.Fatal(err)
			}
			pro, _ := shop.Prices.Of("pro")
			if err := s.Check(t.Context(), shop.Prices); err != nil || len(shop.Prices) != 3 || pro == old || shop.Prices.Plan(old) != "pro" {
				t.Errorf("after %d steps: %v, of which %s is the old one, %v", after, shop.Prices, old, err)
			}
			if _, left := s.survey(t, stripe.Declared); len(left) != 0 || len(s.Endpoints()) != 1 {
				t.Errorf("after %d steps, %t: the second setup left %q, and %d endpoints", after, lost, left, len(s.Endpoints()))
			}
			if all := s.active(t, "outpost_pro"); len(all) != 2 {
				t.Errorf("after %d steps there are %v", after, all)
			}
		}
	}
}

// oldPrice makes the product of the plan pro, and a price for it that was a setup's.
func (s *shop) oldPrice(t *testing.T, cents int64) string {
	t.Helper()
	product, err := s.sdk.Products.New(&sdk.ProductParams{ID: sdk.String("outpost_pro"), Name: sdk.String("Outpost pro")})
	if err != nil {
		t.Fatal(err)
	}
	p := &sdk.PriceParams{Product: &product.ID, Currency: sdk.String("usd"), UnitAmount: &cents, LookupKey: sdk.String("outpost_pro"), Recurring: &sdk.PriceRecurringParams{Interval: sdk.String("month")}}
	p.AddMetadata("outpost", "plan")
	old, err := s.sdk.Prices.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return old.ID
}

// active are the active prices of a product.
func (s *shop) active(t *testing.T, product string) (ids []string) {
	t.Helper()
	it := s.sdk.Prices.List(&sdk.PriceListParams{Product: &product, Active: sdk.Bool(true)})
	for it.Next() {
		ids = append(ids, it.Price().ID)
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestWhatWasChangedByHandIsPutRight(t *testing.T) {
	s := empty(t)
	shop, err := s.Setup(t.Context(), site.Webhook, site.Return)
	if err != nil {
		t.Fatal(err)
	}
	pro, _ := shop.Prices.Of("pro")
	enterprise, _ := shop.Prices.Of("enterprise")
	portals := s.sdk.BillingPortalConfigurations.List(nil)
	if !portals.Next() {
		t.Fatal("no portal")
	}
	portal := portals.BillingPortalConfiguration().ID
	for _, c := range []struct {
		says string
		do   func() error
	}{
		{"Sell the price " + pro + " of the plan pro again.", func() error {
			_, err := s.sdk.Prices.Update(pro, &sdk.PriceParams{Active: sdk.Bool(false)})
			return err
		}},
		{"Name the product outpost_enterprise Outpost enterprise, and sell it.", func() error {
			_, err := s.sdk.Products.Update("outpost_enterprise", &sdk.ProductParams{Name: sdk.String("Cheap"), Active: sdk.Bool(false)})
			return err
		}},
		{"Change the billing portal " + portal + ": its invoices, card, cancelling, changes of plan.", func() error {
			_, err := s.sdk.BillingPortalConfigurations.Update(portal, &sdk.BillingPortalConfigurationParams{Features: &sdk.BillingPortalConfigurationFeaturesParams{
				InvoiceHistory:      &sdk.BillingPortalConfigurationFeaturesInvoiceHistoryParams{Enabled: sdk.Bool(false)},
				PaymentMethodUpdate: &sdk.BillingPortalConfigurationFeaturesPaymentMethodUpdateParams{Enabled: sdk.Bool(false)},
				SubscriptionCancel:  &sdk.BillingPortalConfigurationFeaturesSubscriptionCancelParams{Enabled: sdk.Bool(true), Mode: sdk.String("immediately")},
				SubscriptionUpdate: &sdk.BillingPortalConfigurationFeaturesSubscriptionUpdateParams{Enabled: sdk.Bool(true), DefaultAllowedUpdates: sdk.StringSlice([]string{"price"}),
					Products: []*sdk.BillingPortalConfigurationFeaturesSubscriptionUpdateProductParams{{Product: sdk.String("outpost_pro"), Prices: []*string{&pro}}}}}})
			return err
		}},
		{"Enable the webhook endpoint", func() error {
			_, err := s.sdk.WebhookEndpoints.Update(s.Endpoints()[0].ID, &sdk.WebhookEndpointParams{Disabled: sdk.Bool(true)})
			return err
		}},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		w, steps := s.survey(t, stripe.Declared)
		if len(steps) != 1 || !strings.HasPrefix(steps[0], c.says) {
			t.Errorf("%q, want %q", steps, c.says)
		}
		if again, err := w.Do(t.Context(), func(stripe.Step) {}); err != nil || again.WebhookSecret != "" || again.Prices.String() != pro+"=pro,"+enterprise+"=enterprise" {
			t.Errorf("%+v, %v", again.Prices, err)
		}
		if _, steps := s.survey(t, stripe.Declared); len(steps) != 0 {
			t.Errorf("left: %q", steps)
		}
	}
}

func TestTwoEndpointsOfOneURLAreAnError(t *testing.T) {
	s := empty(t)
	for range 2 {
		if _, err := s.sdk.WebhookEndpoints.New(&sdk.WebhookEndpointParams{URL: &site.Webhook, APIVersion: sdk.String(sdk.APIVersion), EnabledEvents: sdk.StringSlice([]string{"*"})}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Survey(t.Context(), stripe.Declared, site); err == nil || !strings.Contains(err.Error(), "both have the URL") {
		t.Error(err)
	}
}

func TestADeclarationOfTheOperatorsNamesThingsOtherwise(t *testing.T) {
	text, err := os.ReadFile("shop.json")
	if err != nil {
		t.Fatal(err)
	}
	d, err := stripe.ReadDeclaration([]byte(strings.NewReplacer(`"Outpost pro"`, `"Acme pro"`, `"outpost_pro"`, `"acme-pro"`, `"headline": "Outpost"`, `"headline": "Acme"`, `"invoice.paid"`, `"invoice.paid", "invoice.created"`).Replace(string(text))))
	if err != nil {
		t.Fatal(err)
	}
	s := empty(t)
	w, steps := s.survey(t, d)
	if _, err := w.Do(t.Context(), func(stripe.Step) {}); err != nil || !slices.Contains(steps, "Make the product acme-pro, Acme pro.") {
		t.Errorf("%q, %v", steps, err)
	}
	if got := s.Endpoints(); len(got) != 1 || len(got[0].EnabledEvents) != len(stripe.Events)+1 {
		t.Errorf("%+v", got)
	}
	for why, c := range map[string]struct{ old, new, says string }{
		"another version":     {`2023-10-16`, `2024-04-10`, "api_version"},
		"a plan is missing":   {`"pro": {"id": "outpost_pro", "name": "Outpost pro"},`, ``, "the plan pro is missing"},
		"a plan of nobody":    {`"pro": {`, `"platinum": {"id": "a", "name": "b"}, "pro": {`, `"platinum" is no plan`},
		"the free plan":       {`"pro": {`, `"free": {"id": "a", "name": "b"}, "pro": {`, `"free" is no plan`},
		"one id twice":        {`outpost_enterprise`, `outpost_pro`, "id of its own"},
		"an id with spaces":   {`outpost_pro`, `outpost pro`, "letters, digits"},
		"no name":             {`"Outpost pro"`, `""`, "must have a name"},
		"an event too few":    {`"invoice.paid",`, ``, "lacks invoice.paid"},
		"an unknown field":    {`"card": true`, `"card": true, "plans": true`, "plans"},
		"a wrong type":        {`"card": true`, `"card": "yes"`, "JSON"},
		"no headline":         {`"headline": "Outpost"`, `"headline": ""`, "headline"},
		"a path of its own":   {`/webhooks/stripe`, `https://x.example`, "path"},
		"a path of no route":  {`/webhooks/stripe`, `/webhooks/other`, "path"},
		"something behind it": {"  }\n}\n", "  }\n} {}", "behind"},
		"nothing":             {string(text), "", "JSON"},
	} {
		changed := strings.Replace(string(text), c.old, c.new, 1)
		if changed == string(text) {
			t.Fatalf("%s: nothing changed", why)
		}
		if _, err := stripe.ReadDeclaration([]byte(changed)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", why, err, c.says)
		}
	}
}

func TestEachDifferenceOfThePricesIsASentence(t *testing.T) {
	s := open(t, 4)
	product, err := s.sdk.Products.New(&sdk.ProductParams{Name: sdk.String("Other")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.sdk.Prices.New(&sdk.PriceParams{Product: &product.ID, Currency: sdk.String("eur"), UnitAmount: sdk.Int64(100), Recurring: &sdk.PriceRecurringParams{Interval: sdk.String("year")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.sdk.Prices.Update(p.ID, &sdk.PriceParams{Active: sdk.Bool(false)}); err != nil {
		t.Fatal(err)
	}
	pro, _ := s.prices.Of("pro")
	got, err := s.Differences(t.Context(), billing.Prices{{ID: p.ID, Plan: "pro"}, {ID: "price_zzz", Plan: "enterprise"}, {ID: "price_yyy", Plan: "pro"}, {ID: pro, Plan: "pro"}})
	of := "The price " + p.ID + " of the plan pro: "
	want := []string{of + "it is sold no more (archived).", of + `it is in "eur", not in USD.`, of + "it costs 100 cents, and the plan 2900.", of + "it is paid every 1 year, not each month.",
		"The price price_zzz of the plan enterprise: Stripe has no such price.", "The old price price_yyy of the plan pro: Stripe has no such price.",
		"The old price " + pro + " of the plan pro: it is of the product " + s.product + ", and what is sold of " + product.ID + "."}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	past := append(slices.Clone(s.prices), billing.Price{ID: s.past(t, 100), Plan: "pro"})
	if got, err := s.Differences(t.Context(), past); err != nil || len(got) != 0 {
		t.Errorf("a price of the past: %q, %v", got, err)
	}
	slices.Reverse(past)
	if got, err := s.Differences(t.Context(), past); err != nil || !slices.Equal(got, []string{"The price " + past[0].ID + " of the plan pro: it costs 100 cents, and the plan 2900."}) {
		t.Errorf("a price of the past that is sold: %q, %v", got, err)
	}
	if got, err := s.Differences(t.Context(), s.prices); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	s.Fail(standin.Fault{Times: -1, Status: 503})
	if _, err := s.Differences(t.Context(), s.prices); !stripe.Down(err) {
		t.Errorf("Stripe is down: %v", err)
	}
}

// Steps that change what is there have the shape that Stripe wants, too.
func TestChangesPassAgainstStripeMock(t *testing.T) {
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
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		stub.HandleRequest(answer, r)
		calls[r.Method+" "+regexp.MustCompile(`^(/v1/(?:billing_portal/)?[a-z_]+)/.*`).ReplaceAllString(r.URL.Path, "$1/{id}")] = true
		if answer.Code != 200 {
			t.Errorf("%s %s: %d %s", r.Method, r.URL.Path, answer.Code, answer.Body)
		}
		body := answer.Body.String()
		if r.Method == "GET" { // the mock's portal and endpoint are ours, and not as declared
			body = regexp.MustCompile(`"metadata":\s*(\{\s*\}|null)`).ReplaceAllString(body, `"metadata": {"outpost": "portal"}`)
			body = regexp.MustCompile(`"unit_amount":\s*\d+`).ReplaceAllString(body, `"unit_amount": 2900`) // as pro costs
			body = regexp.MustCompile(`"url":\s*"https://[^"]*"`).ReplaceAllString(body, `"url": "`+site.Webhook+`"`)
			body = regexp.MustCompile(`"api_version":\s*("[^"]*"|null)`).ReplaceAllString(body, `"api_version": "`+sdk.APIVersion+`"`)
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	c, err := stripe.NewSetup(keys.Key, server.URL, false)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Survey(t.Context(), stripe.Declared, site)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Do(t.Context(), func(stripe.Step) {}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"POST /v1/products/{id}", "POST /v1/prices", "POST /v1/prices/{id}", "POST /v1/billing_portal/configurations/{id}", "POST /v1/webhook_endpoints/{id}"} {
		if !calls[want] {
			t.Errorf("never called: %s, of %v", want, slices.Sorted(maps.Keys(calls)))
		}
	}
}

func TestASetupWantsTheKeyOfItsMode(t *testing.T) {
	for _, c := range []struct {
		key  string
		live bool
		ok   bool
	}{{"sk_" + "test_x", false, true}, {"rk_" + "live_x", true, true}, {"sk_" + "live_x", false, false}, {"sk_" + "test_x", true, false}, {"", false, false}, {"pk_" + "test_x", false, false}} {
		if _, err := stripe.NewSetup(c.key, "", c.live); (err == nil) != c.ok || err != nil && strings.Contains(err.Error(), "_x") {
			t.Errorf("%s, live %t: %v", c.key, c.live, err)
		}
	}
}

func TestReasonsQuoteNoKey(t *testing.T) {
	s := empty(t)
	locked, err := standin.New(standin.Options{Clock: clock.NewManual(start), Seed: 9, Key: keys.Key})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(locked)
	t.Cleanup(server.Close)
	wrong, err := stripe.NewSetup("sk_"+"test_another", server.URL, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Survey(t.Context(), stripe.Declared, site)
	if got := stripe.Reason(err); stripe.Down(err) || got != "Stripe does not accept the key (HTTP 401)." {
		t.Errorf("%s: %v", got, err)
	}
	nowhere, err := stripe.NewSetup(keys.Key, "http://127.0.0.1:1", false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = nowhere.Survey(t.Context(), stripe.Declared, site)
	if got := stripe.Reason(err); !stripe.Down(err) || got != "Stripe does not answer." || errors.Is(err, stripe.ErrSubscribed) {
		t.Errorf("%s: %v", got, err)
	}
	s.Fail(standin.Fault{Times: -1, Status: 429})
	_, err = s.Survey(t.Context(), stripe.Declared, site)
	if got := stripe.Reason(err); !stripe.Down(err) || got != "Stripe does not answer now (HTTP 429)." {
		t.Errorf("%s: %v", got, err)
	}
}
