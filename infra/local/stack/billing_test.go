package stack_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	standin "outpost/infra/local/stripe"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/stripe"
	"outpost/shared/table"
)

// payer is a tenant who pays by Stripe's stand-in.
type payer struct {
	*world
	operator         *world
	tenant, customer string
	client           *stripe.Client
}

// newPayer makes a tenant on the free plan who is a customer.
func newPayer(w *world, operator *world) *payer {
	w.t.Helper()
	m := created(operator.must(http.StatusCreated, "POST", "/v1/tenants", map[string]any{"name": "The team that pays", "email": "pays@example.com", "plan": "free"}))
	p := &payer{world: &world{t: w.t, url: w.url, key: m.APIKey, Stack: w.Stack}, operator: operator, tenant: m.ID}
	var err error
	if p.client, err = stripe.New(stripe.Options{Keys: w.Stack.Stripe.Stripe, Base: w.Stack.Stripe.Base}); err != nil {
		w.t.Fatal(err)
	}
	if p.customer, err = p.client.Customer(w.t.Context(), p.tenant, 0, "The team that pays", "pays@example.com"); err != nil {
		w.t.Fatal(err)
	}
	now := time.Now()
	store := table.New(dynamodb.NewFromConfig(w.AWS), "outpost", clock.System)
	if _, err := store.BindCustomer(w.t.Context(), p.tenant, p.customer, table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "billing.checkout", Actor: "test"}}); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// pays opens Checkout and pays there.
func (p *payer) pays(plan string) {
	p.t.Helper()
	price, _ := p.Stack.Stripe.Prices.Of(plan)
	page, err := p.client.Open(p.t.Context(), stripe.Checkout{Tenant: p.tenant, Customer: p.customer, Price: price, SuccessURL: p.url, CancelURL: p.url})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.Stack.Stripe.Fake.Checkout(path.Base(page), standin.GoodCard); err != nil {
		p.t.Fatal(err)
	}
}

// cancels ends every subscription at once, at Stripe.
func (p *payer) cancels() {
	p.t.Helper()
	for _, sub := range p.Stack.Stripe.Fake.Subscriptions(p.customer) {
		if err := p.client.Cancel(p.t.Context(), sub.ID); err != nil {
			p.t.Fatal(err)
		}
	}
}

// on waits until the tenant is on a plan.
func (p *payer) on(plan string) {
	p.t.Helper()
	var is struct{ Plan string }
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-clock.System.After(20 * time.Millisecond) {
		if err := json.Unmarshal(p.operator.must(http.StatusOK, "GET", "/v1/tenants/"+p.tenant, nil).body, &is); err != nil {
			p.t.Fatal(err)
		}
		if is.Plan == plan {
			return
		}
	}
	p.t.Fatalf("the tenant is on the plan %s, not %s", is.Plan, plan)
}

// quiet waits until every event that has come about so far has acted.
func (p *payer) quiet() {
	p.t.Helper()
	p.quietSince(0)
}

// quietSince waits for those behind the first ones, whose webhooks were lost.
func (p *payer) quietSince(lost int) {
	p.t.Helper()
	store := table.New(dynamodb.NewFromConfig(p.AWS), "outpost", clock.System)
	for _, e := range p.Stack.Stripe.Fake.Events()[lost:] {
		if !slices.Contains(stripe.Events, e.Type) {
			continue
		}
		for deadline := time.Now().Add(2 * time.Minute); ; <-clock.System.After(20 * time.Millisecond) {
			acted, err := store.EventActed(p.t.Context(), e.ID)
			if err != nil || time.Now().After(deadline) {
				p.t.Fatalf("%s %s has not acted: %v", e.Type, e.ID, err)
			}
			if acted {
				break
			}
		}
	}
}

// lookedAt is when the latest look at Stripe began.
func (p *payer) lookedAt() time.Time {
	p.t.Helper()
	b, err := table.New(dynamodb.NewFromConfig(p.AWS), "outpost", clock.System).Billing(p.t.Context(), p.tenant)
	if err != nil {
		p.t.Fatal(err)
	}
	return b.FetchedAt
}

// usesBilling makes the functions of billing do all that they do.
func usesBilling(w *world, operator *world) {
	w.t.Helper()
	p := newPayer(w, operator)
	before := p.lookedAt()
	operator.must(http.StatusOK, "PATCH", "/v1/tenants/"+p.tenant, map[string]any{"plan": "free"})
	for deadline := time.Now().Add(time.Minute); !p.lookedAt().After(before); <-clock.System.After(20 * time.Millisecond) { // for the plan that was taken
		if time.Now().After(deadline) {
			w.t.Fatal("nobody has looked")
		}
	}
	operator.must(http.StatusOK, "PATCH", "/v1/tenants/"+p.tenant, map[string]any{"plan_source": "stripe"})
	p.pays("enterprise")
	p.on("enterprise")
	p.quiet()
	w.Stack.Stripe.Fake.FailWebhooks(standin.WebhookFaults{Drop: 1})
	p.cancels()
	p.pays("pro")
	w.Stack.Stripe.Fake.FailWebhooks(standin.WebhookFaults{})
	if err := w.Fire(w.t.Context(), "stripe-reconcile"); err != nil {
		w.t.Fatal(err)
	}
	p.on("pro")
	operator.must(http.StatusOK, "GET", "/v1/tenants/"+p.tenant+"/billing", nil)
	p.usesItsDesk()
	ends(p)
	operator.must(http.StatusOK, "POST", "/v1/tenants/"+p.tenant+"/billing/sync", nil)
	p.on("free")
	gaveUp(p, "evt_given_up", p.customer)
	operator.must(http.StatusOK, "POST", "/v1/stripe-events/replay", nil)
	operator.must(http.StatusOK, "DELETE", "/v1/tenants/"+p.tenant, nil)
}

// usesItsDesk makes the routes of billing do all that they do, while no webhook
// comes: each of them is the first to see a change.
func (p *payer) usesItsDesk() {
	p.t.Helper()
	p.Stack.Stripe.Fake.FailWebhooks(standin.WebhookFaults{Drop: 1})
	defer p.Stack.Stripe.Fake.FailWebhooks(standin.WebhookFaults{})
	p.must(http.StatusOK, "POST", "/v1/billing/portal", nil)
	p.must(http.StatusOK, "POST", "/v1/billing/plan", map[string]any{"plan": "enterprise"})
	p.on("enterprise")
	p.cancels()
	page := p.checkout("pro", "")
	if p.standing().Plan != "free" {
		p.t.Errorf("Checkout has not seen the end: %+v", p.standing())
	}
	if back := p.clicks(page, "Pay with the card 4242, which works"); back.status != http.StatusOK || p.standing().Plan != "pro" {
		p.t.Errorf("led back to %d %s, %+v", back.status, back.body, p.standing())
	}
}

// standing is what the tenant is told of its plan.
func (p *payer) standing() (v struct {
	Plan, Sentence string
	Status         *string
	Change         *struct{ Plan, When string }
}) {
	p.t.Helper()
	if err := json.Unmarshal(p.must(http.StatusOK, "GET", "/v1/billing", nil).body, &v); err != nil {
		p.t.Fatal(err)
	}
	return v
}

// checkout opens Checkout by the API; success is where it is to lead to.
func (p *payer) checkout(plan, success string) (page string) {
	p.t.Helper()
	wish := map[string]any{"plan": plan}
	if success != "" {
		wish["success_url"], wish["cancel_url"] = success, success+"?cancelled"
	}
	return urlOf(p.t, p.must(http.StatusOK, "POST", "/v1/billing/checkout", wish).body)
}

func urlOf(t testing.TB, body []byte) string {
	t.Helper()
	var v struct{ URL string }
	if err := json.Unmarshal(body, &v); err != nil || v.URL == "" {
		t.Fatalf("%v in %s", err, body)
	}
	return v.URL
}

// clicks opens a page of the stand-in's as a browser does, presses the button of
// those words with its form's hidden fields, and goes wherever that leads.
func (p *payer) clicks(page, words string) (led answer) {
	p.t.Helper()
	shown := p.browse(http.MethodGet, page, nil)
	for _, form := range regexp.MustCompile(`(?s)<form method="post">.*?</form>`).FindAllString(string(shown.body), -1) {
		pressed := regexp.MustCompile(`<button name="action" value="([^"]*)">` + regexp.QuoteMeta(words)).FindStringSubmatch(form)
		if pressed == nil {
			continue
		}
		values := url.Values{"action": {html.UnescapeString(pressed[1])}}
		for _, hidden := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(form, -1) {
			values.Set(hidden[1], html.UnescapeString(hidden[2]))
		}
		return p.browse(http.MethodPost, page, values)
	}
	p.t.Fatalf("%s has no button %q: %s", page, words, shown.body)
	return led
}

// browse follows redirects as a browser does, without any key.
func (p *payer) browse(method, page string, form url.Values) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, page, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, body}
}

// application is a tenant's own web application, which Checkout leads back to.
func application(t testing.TB) (url string, visited func() []string) {
	var mu sync.Mutex
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.URL.String())
		fmt.Fprint(w, "Welcome back.")
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// The demo tenant of one machine clicks its way through a paid life: up by
// Checkout, over its own application, then up, down, out and in by the API and the
// client, and a card in the portal. Once as webhooks come, once without any.
func TestTheDemoTenantUpgradesByClicking(t *testing.T) {
	for name, drop := range map[string]float64{"with webhooks": 0, "all webhooks lost": 1} {
		t.Run(name, func(t *testing.T) {
			o := options(t, t.TempDir(), scriptedAgent(t, `true`), "http://127.0.0.1:9")
			o.Plan = "free"
			w := start(t, o)
			w.Stack.Stripe.Fake.FailWebhooks(standin.WebhookFaults{Drop: drop})
			app, visited := application(t)
			p := &payer{world: w}
			limits := func(plan string, concurrent int) {
				t.Helper()
				var l struct {
					Plan           string
					ConcurrentRuns struct{ Limit int } `json:"concurrent_runs"`
				}
				if err := json.Unmarshal(p.must(http.StatusOK, "GET", "/v1/limits", nil).body, &l); err != nil || l.Plan != plan || l.ConcurrentRuns.Limit != concurrent {
					t.Errorf("limits %+v, want those of %s: %v", l, plan, err)
				}
			}
			limits("free", 1)
			page := p.checkout("pro", app+"/billing")
			if again := p.checkout("pro", app+"/billing"); again != page {
				t.Errorf("a double click has two pages: %s, %s", page, again)
			}
			if left := p.clicks(page, "Back"); left.status != http.StatusOK || p.standing().Plan != "free" {
				t.Errorf("who went back: %d, %+v", left.status, p.standing())
			}
			if declined := p.clicks(page, "Pay with the card 0002, which is declined"); declined.status == http.StatusOK || p.standing().Plan != "free" {
				t.Errorf("a declined card: %d, %+v", declined.status, p.standing())
			}
			if led := p.clicks(page, "Pay with the card 4242, which works"); string(led.body) != "Welcome back." {
				t.Errorf("led to %d %s", led.status, led.body)
			}
			if seen := visited(); !slices.Equal(seen, []string{"/billing?cancelled", "/billing"}) {
				t.Errorf("the application was visited at %v", seen)
			}
			limits("pro", 5) // at once, whatever webhooks do
			if v := p.standing(); v.Plan != "pro" || *v.Status != "active" || !strings.HasPrefix(v.Sentence, "The pro plan renews ") {
				t.Errorf("%+v", v)
			}
			if a, err := p.call("POST", "/v1/billing/checkout", map[string]any{"plan": "enterprise"}); err != nil || a.status != http.StatusConflict || !strings.Contains(string(a.body), "already_subscribed") {
				t.Errorf("a second Checkout: %d %s %v", a.status, a.body, err)
			}

			client := func(args ...string) string {
				t.Helper()
				cmd := exec.Command(filepath.Join(binaries, "outpost"), append([]string{"billing"}, args...)...)
				cmd.Env = []string{"OUTPOST_URL=" + w.url, "OUTPOST_API_KEY=" + w.key}
				said, err := cmd.Output()
				if err != nil {
					t.Fatalf("outpost billing %v: %v %s", args, err, said)
				}
				return string(said)
			}
			for _, c := range []struct{ wants, plan, says string }{
				{"enterprise", "enterprise", "The enterprise plan renews"}, {"pro", "enterprise", "becomes the pro plan"},
				{"free", "enterprise", "is canceled and ends"}, {"enterprise", "enterprise", "The enterprise plan renews"},
			} {
				if said := client("plan", c.wants); !strings.Contains(said, c.says) || p.standing().Plan != c.plan {
					t.Errorf("outpost billing plan %s: %s, %+v", c.wants, said, p.standing())
				}
			}
			limits("enterprise", 20)
			portal := strings.TrimSpace(client("portal"))
			if shown := p.clicks(portal, "Use the card 0341, which is taken and then fails"); shown.status != http.StatusOK || !strings.Contains(string(shown.body), "Outpost enterprise") {
				t.Errorf("the portal: %d %s", shown.status, shown.body)
			}
			if back := p.clicks(portal, "Back"); back.status != http.StatusOK || !strings.Contains(string(back.body), "Back from Stripe") {
				t.Errorf("back from the portal: %d %s", back.status, back.body)
			}
			portal = strings.TrimSpace(client("portal", "--return-url", app+"/from-the-portal"))
			if back := p.clicks(portal, "Back"); string(back.body) != "Welcome back." || visited()[2] != "/from-the-portal" {
				t.Errorf("back from the portal to %v: %d %s", visited(), back.status, back.body)
			}
			if said := client("show"); !strings.Contains(said, "enterprise") {
				t.Errorf("outpost billing show: %s", said)
			}
			if n := len(w.Stack.Stripe.Fake.Customers()); n != 1 {
				t.Errorf("%d customers", n)
			}
		})
	}
}

// ends ends the tenant's subscriptions; no webhook tells of it.
func ends(p *payer) {
	p.t.Helper()
	p.Stack.Stripe.Fake.FailWebhooks(standin.WebhookFaults{Drop: 1})
	p.cancels()
	p.Stack.Stripe.Fake.FailWebhooks(standin.WebhookFaults{})
}

// gaveUp puts an event into the dead-letter queue, as SQS does with one that was
// tried too often.
func gaveUp(p *payer, event, customer string) {
	p.t.Helper()
	queue, body := "stripe-events-dead.fifo", `{"id":"`+event+`","type":"invoice.paid","customer":"`+customer+`"}`
	client := sqs.NewFromConfig(p.AWS)
	out, err := client.GetQueueUrl(p.t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := client.SendMessage(p.t.Context(), &sqs.SendMessageInput{QueueUrl: out.QueueUrl, MessageBody: &body, MessageGroupId: &customer, MessageDeduplicationId: &event}); err != nil {
		p.t.Fatal(err)
	}
}

// Webhooks come twice, late, in any order and beside forged ones; whatever is
// bought and ended, the tenant comes to the plan that Stripe has.
func TestPlansFollowStripeThroughBadWebhooks(t *testing.T) {
	w := start(t, options(t, t.TempDir(), scriptedAgent(t, `true`), "http://127.0.0.1:9"))
	operator := &world{t: t, url: w.url, key: w.Demo.OperatorKey, Stack: w.Stack}
	w.Stack.Stripe.Fake.FailWebhooks(standin.WebhookFaults{Duplicate: 0.5, Delay: 0.5, DelayBy: 2 * time.Second, Reorder: true, Forge: 0.3})
	p := newPayer(w, operator)
	for _, plan := range []string{"pro", "enterprise"} {
		p.pays(plan)
		p.on(plan)
		var limits struct{ Plan string }
		if err := json.Unmarshal(p.must(http.StatusOK, "GET", "/v1/limits", nil).body, &limits); err != nil {
			t.Fatal(err)
		}
		p.cancels()
		p.on("free")
	}
}

// admin runs a command of the operator's, and returns what it says.
func (p *payer) admin(args ...string) string {
	p.t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "outpost"), append([]string{"admin", "billing"}, args...)...)
	cmd.Env = []string{"OUTPOST_URL=" + p.url, "OUTPOST_OPERATOR_KEY=" + p.operator.key, "STRIPE_API_BASE=" + p.Stack.Stripe.Base, "STRIPE_SECRET_KEY=" + p.Stack.Stripe.Key}
	said, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%v: %v\n%s", args, err, said)
	}
	return string(said)
}

// While no webhook arrives the operator sees what is wrong and puts it right; and
// whoever changes a plan, the tenant reads in its trail who did and why.
func TestTheOperatorPutsBillingRightAndEveryChangeOfPlanHasItsCause(t *testing.T) {
	w := start(t, options(t, t.TempDir(), scriptedAgent(t, `true`), "http://127.0.0.1:9"))
	operator := &world{t: t, url: w.url, key: w.Demo.OperatorKey, Stack: w.Stack}
	p := newPayer(w, operator)
	fake := p.Stack.Stripe.Fake
	p.admin("setup")
	if said := p.admin("setup"); !strings.Contains(said, "nothing was changed") {
		t.Errorf("a second setup: %s", said)
	}
	if said := p.admin("check", "--prices", p.Stack.Stripe.Prices.String()); !strings.Contains(said, "all 2 prices") {
		t.Error(said)
	}

	fake.FailWebhooks(standin.WebhookFaults{Drop: 1})
	p.pays("pro")
	if said := p.admin("show", p.tenant); !strings.Contains(said, "differs") || !strings.Contains(said, "The pro plan renews") {
		t.Errorf("before the sync: %s", said)
	}
	if said := p.admin("sync", p.tenant); !strings.Contains(said, "plan") {
		t.Error(said)
	}
	p.on("pro") // by the operator's sync
	if said := p.admin("show", p.tenant); strings.Contains(said, "differs") {
		t.Errorf("after the sync: %s", said)
	}
	ends(p)
	gaveUp(p, "evt_given_up", p.customer)
	if said := p.admin("replay"); !strings.Contains(said, "1 event went back") {
		t.Error(said)
	}
	p.on("free") // by the event that was tried again
	lost := len(fake.Events())
	p.pays("enterprise")
	p.on("enterprise") // by its webhook
	p.quietSince(lost)
	ends(p)
	if err := w.Fire(t.Context(), "stripe-reconcile"); err != nil {
		t.Fatal(err)
	}
	p.on("free") // by the comparison
	operator.must(http.StatusOK, "PATCH", "/v1/tenants/"+p.tenant, map[string]any{"plan": "pro"})

	var page struct{ Data []audit.Event }
	if err := json.Unmarshal(p.must(http.StatusOK, "GET", "/v1/audit?limit=100", nil).body, &page); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range slices.Backward(page.Data) {
		for _, c := range e.Changes {
			if c.Field == "plan" && e.Action != "tenant.create" {
				got = append(got, c.Before+" → "+c.After+" by "+e.Actor)
				if e.Detail == "" && e.RequestID == "" {
					t.Errorf("nothing says why: %+v", e)
				}
			}
		}
	}
	want := []string{"free → pro by operator", "pro → free by stripe/sync", "free → enterprise by stripe/sync", "enterprise → free by stripe/reconcile", "free → pro by operator"}
	if !slices.Equal(got, want) {
		t.Errorf("the trail has %q, want %q", got, want)
	}
}
