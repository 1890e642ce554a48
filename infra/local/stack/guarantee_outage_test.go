package stack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/infra/local/guarantee"
	standin "outpost/infra/local/stripe"
	"outpost/shared/clock"
	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/topology"
)

// TestGuaranteeTheAPIServesWhileStripeIsDown takes Stripe away from a whole Outpost:
// 429, 500, broken connections, and, at full size, no answer at all. In each of
// these every function is killed, so that all start cold, and a tenant who pays
// submits tasks that only its plan allows; they run. Others pay meanwhile on
// Stripe's own page: their webhooks are acknowledged, their events wait, and act
// when Stripe is back. The requests that Stripe gets follow from how often the
// consumer and the reconciler were invoked; how often that is in an hour is the
// consumer's proof.
func TestGuaranteeTheAPIServesWhileStripeIsDown(t *testing.T) {
	g := guarantee.For(t, "billing-6", "While Stripe is down the API serves by the last known plans, also from a cold start; what was paid meanwhile acts afterwards.")
	w := start(t, options(t, t.TempDir(), scriptedAgent(t, `echo changed >> a.txt`), "http://127.0.0.1:9"))
	operator := &world{t: t, url: w.url, key: w.Demo.OperatorKey, Stack: w.Stack}
	store, fake := table.New(dynamodb.NewFromConfig(w.AWS), "outpost", clock.System), w.Stack.Stripe.Fake
	hasten(w)
	good := newPayer(w, operator)
	good.pays("pro")
	good.on("pro")
	good.quiet() // its key is used only now: the gateway keeps what it was for a minute
	good.must(http.StatusNoContent, "PUT", "/v1/secrets/OPENAI_API_KEY", map[string]any{"value": "sk-" + "a-key-of-the-test"})
	waiting := make([]*payer, g.Pick(8, 2))
	pages := make([]string, len(waiting))
	for i := range waiting {
		waiting[i] = newPayer(w, operator)
		price, _ := w.Stack.Stripe.Prices.Of("pro")
		page, err := good.client.Open(t.Context(), stripe.Checkout{Tenant: waiting[i].tenant, Customer: waiting[i].customer, Price: price, SuccessURL: w.url, CancelURL: w.url})
		if err != nil {
			t.Fatal(err)
		}
		pages[i] = path.Base(page)
	}
	repo := repository(t, map[string]string{"a.txt": "a\n"})

	faults := []standin.Fault{{Status: 429}, {Status: 500}, {Down: true}}
	if guarantee.Full() {
		faults = append(faults, standin.Fault{Delay: time.Minute})
	}
	calls, cost := fake.Calls(), w.Lambda.Stats()
	rounds, submitted, events := 0, 0, len(fake.Events())
	for i, fault := range faults {
		fault.Times = -1
		fake.Heal()
		fake.Fail(fault)
		for _, f := range topology.Functions {
			w.Lambda.Kill(f.Name)
		}
		if i == 0 {
			for _, page := range pages { // on Stripe's page, which works
				if _, err := fake.Checkout(page, standin.GoodCard); err != nil {
					t.Fatal(err)
				}
			}
		}
		if rounds++; w.Fire(t.Context(), "stripe-reconcile") == nil {
			t.Errorf("%+v: a round of the reconciler that saw nothing is no failure", fault)
		}
		v := good.submit(map[string]any{"repo": repo, "prompt": "Work.", "agents": []string{"codex"}})
		if got := good.completed(v.ID); got.Outcome == nil || *got.Outcome != "succeeded" {
			t.Errorf("%+v: the task is %+v", fault, got)
		}
		submitted++
		var limits struct{ Plan string }
		if err := json.Unmarshal(good.must(http.StatusOK, "GET", "/v1/limits", nil).body, &limits); err != nil || limits.Plan != "pro" {
			t.Errorf("%+v: %v, %+v", fault, err, limits)
		}
		// until the consumer has tried each that waits once more
		for tried := w.Lambda.Stats()["stripe/sync"].Invocations + int64(len(waiting)); w.Lambda.Stats()["stripe/sync"].Invocations < tried; {
			<-clock.System.After(50 * time.Millisecond)
		}
	}
	for _, p := range waiting {
		tn, err := store.Tenant(t.Context(), p.tenant)
		if err != nil || tn.Entitlement.Plan != "free" {
			t.Errorf("%s is on the plan %s, which nobody can know: %v", p.tenant, tn.Entitlement.Plan, err)
		}
	}
	calls = fake.Calls() - calls
	now := w.Lambda.Stats()
	invoked := now["stripe/sync"].Invocations - cost["stripe/sync"].Invocations
	cold := now["stripe/sync"].ColdStarts - cost["stripe/sync"].ColdStarts
	// A call is made twice at most. A round of the reconciler starts, asks for the
	// events, and gives up after five failures, with three more in hand.
	bound := 2*int(invoked) + 2*int(cold) + 2*10*rounds
	if calls > bound || calls == 0 {
		t.Errorf("%d requests to a Stripe that is down, want at most %d", calls, bound)
	}
	fake.Heal()
	for _, p := range waiting {
		p.on("pro")
	}
	good.quiet()
	acted := 0
	for _, e := range fake.EventsFrom(events) {
		if slices.Contains(stripe.Events, e.Type) {
			acted++
		}
	}
	g.Figure("ways in which Stripe was down, whole Outpost", len(faults))
	g.Figure("tasks of a paying tenant that were taken and succeeded meanwhile, all functions starting cold", submitted)
	g.Figure("tenants who paid meanwhile, events of theirs that acted afterwards", fmt.Sprintf("%d, %d", len(waiting), acted))
	g.Figure("requests to Stripe meanwhile", fmt.Sprintf("%d; at most 2 × (%d invocations and %d cold starts of the consumer) + 20 × %d rounds of the reconciler = %d", calls, invoked, cold, rounds, bound))
}
