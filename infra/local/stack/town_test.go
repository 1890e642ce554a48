package stack_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"outpost/infra/local/recorder"
	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/lives"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/topology"
)

// citizen is a tenant and its customer of the moment.
type citizen struct{ tenant, customer string }

// letter is one webhook to be sent.
type letter struct {
	event, kind, forged string
}

// town is a whole Outpost with many tenants.
type town struct {
	*world
	operator *world
	store    *table.Table
	client   *stripe.Client
	shop     *lives.Shop
	endpoint string
	queue    string
	random   *rand.Rand
	// reconciled has the reconciler look too, at tenants and at events that are
	// listed. Without it each look that was kept is one event's.
	reconciled bool
	citizens   []*citizen
	bound      int      // how often a citizen was made a customer
	known      int      // events of the stand-in that were put into the bag
	expected   []string // events that must act
	forged     []string

	mu   sync.Mutex
	more *sync.Cond
	bag  []letter
	out  int  // letters on their way
	done bool // no more come
	sent sent

	rules  []*recorder.Rule
	rounds sync.WaitGroup // of the reconciler
}

func newTown(t *testing.T, seed uint64, tenants int) *town {
	t.Helper()
	o := options(t, t.TempDir(), scriptedAgent(t, `true`), "http://127.0.0.1:9")
	o.StripeForgets = true
	w := start(t, o)
	fake := w.Stack.Stripe.Fake
	c := &town{world: w, operator: &world{t: t, url: w.url, key: w.Demo.OperatorKey, Stack: w.Stack},
		store: table.New(dynamodb.NewFromConfig(w.AWS), "outpost", clock.System), random: rand.New(rand.NewPCG(seed, 1)), reconciled: seed%2 == 1,
		shop: lives.New(fake, w.Stack.Stripe.Base, w.Stack.Stripe.Stripe, w.Stack.Stripe.Prices), sent: sent{kills: map[string]int{}, steps: map[string]int{}}}
	c.more = sync.NewCond(&c.mu)
	fake.FailWebhooks(standin.WebhookFaults{Drop: 1}) // the town has a post of its own
	c.endpoint = fake.Endpoints()[0].ID
	var err error
	if c.client, err = stripe.New(stripe.Options{Keys: w.Stack.Stripe.Stripe, Base: w.Stack.Stripe.Base, Retries: 2}); err != nil {
		t.Fatal(err)
	}
	c.queue = hasten(w)
	for range tenants {
		m := created(c.operator.must(http.StatusCreated, "POST", "/v1/tenants", map[string]any{"name": "A team", "email": "team@example.com", "plan": "free"}))
		one := &citizen{tenant: m.ID}
		if !c.register(one, 0) {
			t.Fatal("Stripe's stand-in makes no customer")
		}
		c.citizens = append(c.citizens, one)
	}
	return c
}

// register makes a citizen a customer, and tells whether it did: Stripe may fail.
func (c *town) register(one *citizen, deleted int) bool {
	c.t.Helper()
	made, err := c.client.Customer(c.t.Context(), one.tenant, deleted, "A team", "team@example.com")
	if err != nil {
		return false
	}
	if one.customer, err = c.store.BindCustomer(c.t.Context(), one.tenant, made, by("billing.checkout")); err != nil {
		c.t.Fatal(err)
	}
	c.bound++
	return true
}

// by is who makes a change in a test.
func by(action string) table.By {
	now := time.Now()
	return table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: action, Actor: "test"}}
}

// hasten makes the queue show a message again after 2 s, and returns its URL: the 3
// minutes of production are too long to wait for. No message dies of how often that
// is in the time that a loaded machine takes.
func hasten(w *world) (queue string) {
	w.t.Helper()
	client, name := sqs.NewFromConfig(w.AWS), topology.StripeEvents+".fifo"
	out, err := client.GetQueueUrl(w.t.Context(), &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		w.t.Fatal(err)
	}
	is, err := client.GetQueueAttributes(w.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: out.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameRedrivePolicy}})
	if err != nil {
		w.t.Fatal(err)
	}
	redrive := map[string]any{}
	if err := json.Unmarshal([]byte(is.Attributes["RedrivePolicy"]), &redrive); err != nil {
		w.t.Fatal(err)
	}
	redrive["maxReceiveCount"] = 1000
	patient, err := json.Marshal(redrive)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := client.SetQueueAttributes(w.t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: out.QueueUrl,
		Attributes: map[string]string{"VisibilityTimeout": "2", "RedrivePolicy": string(patient)}}); err != nil {
		w.t.Fatal(err)
	}
	return *out.QueueUrl
}

// live has everybody live until so many events have come about, and sends them.
func (c *town) live(events int) {
	c.t.Helper()
	fake := c.Stack.Stripe.Fake
	stop := make(chan struct{})
	var hurting, sending sync.WaitGroup
	hurting.Go(func() { c.hurt(stop, rand.New(rand.NewPCG(c.random.Uint64(), 2))) })
	for range 4 {
		random := rand.New(rand.NewPCG(c.random.Uint64(), 3))
		sending.Go(func() { c.send(random) })
	}
	for round := 0; c.sent.events < events; round++ {
		for range max(1, len(c.citizens)/4) {
			c.act(c.citizens[c.random.IntN(len(c.citizens))])
		}
		if round%3 == 2 {
			fake.Advance(time.Duration(1+c.random.IntN(9*24)) * time.Hour)
		}
		if c.random.IntN(3) == 0 {
			fault := []standin.Fault{{Status: 500}, {Status: 429}, {Down: true}, {LoseAnswer: true}}[c.random.IntN(4)]
			fault.Path, fault.Times = "/v1/customers/cus", 3
			fake.Fail(fault)
			c.sent.stripe += fault.Times
		}
		if c.reconciled && round%8 == 4 {
			c.sent.rounds++
			c.rounds.Go(func() { _ = c.Fire(c.t.Context(), "stripe-reconcile") }) // it may be killed
		}
		c.collect()
		c.mu.Lock()
		for len(c.bag) > max(60, events/3) { // new events meet old ones in the bag, not all of them
			c.more.Wait()
		}
		c.mu.Unlock()
		c.until(2 * len(c.citizens)) // nor does life run away from those who look at it
	}
	c.mu.Lock()
	c.done = true
	c.more.Broadcast()
	c.mu.Unlock()
	sending.Wait()
	c.until(len(c.citizens) / 4)
	close(stop)
	hurting.Wait()
	c.rounds.Wait()
}

// act has a citizen do one thing.
func (c *town) act(one *citizen) {
	c.t.Helper()
	if c.Stack.Stripe.Fake.Deleted(one.customer) {
		b, err := c.store.Billing(c.t.Context(), one.tenant)
		if err != nil {
			c.t.Fatal(err)
		}
		if b.Customer == "" && c.register(one, b.Deleted) { // Outpost knows that it was deleted
			c.sent.steps["return"]++
		}
		return
	}
	c.sent.steps[c.shop.Step(c.random, one.customer)]++
}
