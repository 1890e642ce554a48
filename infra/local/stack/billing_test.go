package stack_test

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
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

// on waits until the tenant is on a plan.
func (p *payer) on(plan string) {
	p.t.Helper()
	var is struct{ Plan string }
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
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
	store := table.New(dynamodb.NewFromConfig(p.AWS), "outpost", clock.System)
	for _, e := range p.Stack.Stripe.Fake.Events() {
		if !slices.Contains(stripe.Events, e.Type) {
			continue
		}
		for deadline := time.Now().Add(time.Minute); ; {
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

// usesBilling makes the functions of billing do all that they do.
func usesBilling(w *world, operator *world) {
	w.t.Helper()
	p := newPayer(w, operator)
	p.pays("pro")
	p.on("pro")
	p.quiet()
	for _, change := range []map[string]any{{"plan": "free"}, {"plan_source": "stripe"}} {
		operator.must(http.StatusOK, "PATCH", "/v1/tenants/"+p.tenant, change)
	}
	if err := w.Fire(w.t.Context(), "stripe-reconcile"); err != nil {
		w.t.Fatal(err)
	}
	p.on("pro")
	operator.must(http.StatusOK, "GET", "/v1/tenants/"+p.tenant+"/billing", nil)
	ends(p)
	operator.must(http.StatusOK, "POST", "/v1/tenants/"+p.tenant+"/billing/sync", nil)
	p.on("free")
	gaveUp(p, "evt_given_up", p.customer)
	operator.must(http.StatusOK, "POST", "/v1/stripe-events/replay", nil)
}

// ends ends the tenant's subscriptions; no webhook tells of it.
func ends(p *payer) {
	p.t.Helper()
	p.Stack.Stripe.Fake.FailWebhooks(standin.WebhookFaults{Drop: 1})
	for _, sub := range p.Stack.Stripe.Fake.Subscriptions(p.customer) {
		if err := p.client.Cancel(p.t.Context(), sub.ID); err != nil {
			p.t.Fatal(err)
		}
	}
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
		for _, sub := range p.Stack.Stripe.Fake.Subscriptions(p.customer) {
			if err := p.client.Cancel(t.Context(), sub.ID); err != nil {
				t.Fatal(err)
			}
		}
		p.on("free")
	}
}
