package main

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/guarantee"
	standin "outpost/infra/local/stripe"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/infra/local/stripe/lives"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/metric"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

const day = 24 * time.Hour

// subject is one tenant and what befalls it.
type subject struct {
	*entitlementtest.World
	customer string
	kind     kind
	was      tenant.Tenant // before the round
}

// kind is a way to live. From its time on each step finds the tenant a customer,
// unless it makes it one.
type kind struct {
	name  string
	owner tenant.PlanSource // whose the plan is at the end
	steps []step
}

type step struct {
	at time.Duration
	do func(*subject, *lives.Shop) error
}

func pays(plan string) func(*subject, *lives.Shop) error {
	return func(s *subject, _ *lives.Shop) error { s.customer = s.Pays(plan); return nil }
}

// living makes a step of what the subscription that goes on needs.
func living(do func(*lives.Shop, standin.Subscription) error) func(*subject, *lives.Shop) error {
	return func(s *subject, shop *lives.Shop) error {
		sub, ok := shop.Living(s.customer)
		if !ok {
			return errors.New("there is no subscription")
		}
		return do(shop, sub)
	}
}

func becomes(c tenant.Change) func(*subject, *lives.Shop) error {
	return func(s *subject, _ *lives.Shop) error { s.Change(c); return nil }
}

// registers makes the tenant a customer who has bought nothing yet.
func registers(s *subject, _ *lives.Shop) error {
	made, err := s.Stripe.Customer(s.T.Context(), s.World.Tenant, 0, "a tenant", "a@example.com")
	if err != nil {
		return err
	}
	s.customer, err = s.BindCustomer(s.T.Context(), s.World.Tenant, made, s.By("billing.checkout"))
	return err
}

// opens makes the tenant a customer with a page of Checkout that is open.
func opens(s *subject, _ *lives.Shop) (err error) {
	if err = registers(s, nil); err == nil {
		price, _ := s.Keeper.Prices.Of("pro")
		_, err = s.Stripe.Open(s.T.Context(), stripe.Checkout{Tenant: s.World.Tenant, Customer: s.customer, Price: price, SuccessURL: "https://a.example/"})
	}
	return err
}

func leaves(s *subject, shop *lives.Shop) error { return shop.Delete(s.customer) }

func card(c string) func(*subject, *lives.Shop) error {
	return func(s *subject, _ *lives.Shop) error { return s.Fake.SetCard(s.customer, c) }
}

// kinds is every state that a tenant can be in with Stripe, at the end of the act.
// A month from the start is 30 days.
func kinds() []kind {
	const byOperator, byStripe = tenant.ByOperator, tenant.ByStripe
	enterprise, source, operator, suspended := "enterprise", tenant.ByStripe, tenant.ByOperator, tenant.Suspended
	return []kind{
		{"active, pro", byStripe, []step{{0, pays("pro")}}},
		{"active, enterprise", byStripe, []step{{0, pays("enterprise")}}},
		{"upgraded", byStripe, []step{{0, pays("pro")}, {3 * day, living(func(s *lives.Shop, sub standin.Subscription) error { return s.Upgrade(sub, "enterprise") })}}},
		{"an upgrade that is not paid", byStripe, []step{{0, pays("pro")}, {36 * day, card(standin.FailingCard)}, {37 * day, living(func(s *lives.Shop, sub standin.Subscription) error { return s.Upgrade(sub, "enterprise") })}}},
		{"a downgrade that has come", byStripe, []step{{0, pays("enterprise")}, {3 * day, living(func(s *lives.Shop, sub standin.Subscription) error { return s.Downgrade(sub, "pro") })}}},
		{"a downgrade that is to come", byStripe, []step{{0, pays("enterprise")}, {36 * day, living(func(s *lives.Shop, sub standin.Subscription) error { return s.Downgrade(sub, "pro") })}}},
		{"past due, within the grace", byStripe, []step{{3 * day, pays("enterprise")}, {4 * day, card(standin.FailingCard)}}},
		{"past due, after the grace", byStripe, []step{{0, pays("pro")}, {3 * day, card(standin.FailingCard)}}},
		{"paid after a failure", byStripe, []step{{0, pays("pro")}, {3 * day, card(standin.FailingCard)}, {36 * day, func(s *subject, shop *lives.Shop) error { return shop.Pay(s.customer) }}}},
		{"canceled, and not over", byStripe, []step{{0, pays("pro")}, {36 * day, living(func(s *lives.Shop, sub standin.Subscription) error { return s.CancelAtEnd(sub, true) })}}},
		{"canceled, and over", byStripe, []step{{0, pays("enterprise")}, {3 * day, living(func(s *lives.Shop, sub standin.Subscription) error { return s.CancelAtEnd(sub, true) })}}},
		{"resumed", byStripe, []step{{0, pays("pro")}, {3 * day, living(func(s *lives.Shop, sub standin.Subscription) error { return s.CancelAtEnd(sub, true) })},
			{4 * day, living(func(s *lives.Shop, sub standin.Subscription) error { return s.CancelAtEnd(sub, false) })}}},
		{"ended at once", byStripe, []step{{0, pays("pro")}, {36 * day, living((*lives.Shop).End)}}},
		{"disputed", byStripe, []step{{0, pays("pro")}, {36 * day, func(s *subject, shop *lives.Shop) error { return shop.Contest(s.customer) }}}},
		{"trialing", byStripe, []step{{0, registers}, {36 * day, func(s *subject, shop *lives.Shop) error { return shop.Try(s.customer, "pro", 5) }}}},
		{"paused", byStripe, []step{{0, registers}, {3 * day, func(s *subject, shop *lives.Shop) error { return shop.Try(s.customer, "pro", 5) }}}},
		{"incomplete", byStripe, []step{{0, registers}, {37 * day, func(s *subject, shop *lives.Shop) error { return shop.Begin(s.customer, "pro") }}}},
		{"incomplete, and paid by Checkout", byStripe, []step{{0, registers}, {36 * day, func(s *subject, shop *lives.Shop) error { return shop.Begin(s.customer, "pro") }},
			{36 * day, func(s *subject, shop *lives.Shop) error { return shop.TryAgain(s.customer, "enterprise") }}}},
		{"incomplete and expired", byStripe, []step{{0, registers}, {3 * day, func(s *subject, shop *lives.Shop) error { return shop.Begin(s.customer, "pro") }}}},
		{"a customer who bought nothing", byStripe, []step{{0, registers}}},
		{"a deleted customer", byStripe, []step{{0, pays("pro")}, {36 * day, leaves}}},
		{"a deleted customer who came back", byStripe, []step{{0, pays("pro")}, {3 * day, leaves}, {4 * day, func(s *subject, _ *lives.Shop) error { s.Sync(""); return nil }}, {36 * day, pays("enterprise")}}},
		{"suspended", byStripe, []step{{0, pays("pro")}, {3 * day, becomes(tenant.Change{State: &suspended})}}},
		{"handed over without a customer", byStripe, []step{{0, becomes(tenant.Change{Plan: &enterprise})}, {3 * day, becomes(tenant.Change{PlanSource: &source})}}},
		{"taken back by the operator", byOperator, []step{{0, pays("pro")}, {3 * day, becomes(tenant.Change{Plan: &enterprise, PlanSource: &operator})}, {36 * day, leaves}}},
		{"taken back by the operator, and still paying", byOperator, []step{{0, pays("pro")}, {3 * day, becomes(tenant.Change{Plan: &enterprise})}}},
		{"taken back by the operator with a page that is open", byOperator, []step{{0, opens}, {3 * day, becomes(tenant.Change{Plan: &enterprise})}}},
		{"the operator's from the start", byOperator, []step{{0, becomes(tenant.Change{Plan: &enterprise})}}},
		{"closed while it paid", byStripe, []step{{0, pays("pro")}, {3 * day, func(s *subject, _ *lives.Shop) error { s.Sync(""); return nil }}, {36 * day, func(s *subject, _ *lives.Shop) error {
			_, err := s.ChangeTenant(s.T.Context(), s.World.Tenant, s.By("tenant.close"), func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Close(s.Clock.Now()), nil })
			return err
		}}}},
	}
}

// difference tells how a tenant stands otherwise than Stripe has it; empty for not
// at all.
func (s *subject) difference(shop *lives.Shop) string {
	s.T.Helper()
	ctx := s.T.Context()
	tn, err := s.Table.Tenant(ctx, s.World.Tenant)
	s.Must(err)
	k, err := s.KeyByHash(ctx, s.Caller.KeyHash)
	s.Must(err)
	b, err := s.Billing(ctx, s.World.Tenant)
	s.Must(err)
	truth := lives.Truth{Plan: "free"}
	if s.customer != "" {
		truth = shop.Truth(s.customer, s.Clock.Now())
	}
	switch {
	case truth.Twice != "":
		return truth.Twice
	case k.Entitlement != tn.Entitlement:
		return fmt.Sprintf("the key has %+v, the tenant %+v", k.Entitlement, tn.Entitlement)
	case tn.Entitlement.State == tenant.Closed:
		if truth.Subscription != "" {
			return "it pays though it is closed"
		}
	case tn.PlanSource == tenant.ByStripe && tn.Entitlement.Plan != truth.Plan:
		return fmt.Sprintf("it has the plan %s, and pays for %s", tn.Entitlement.Plan, truth.Plan)
	case truth.Subscription != "" && (b.Standing.Subscription != truth.Subscription || string(b.Standing.Status) != truth.Status || !b.Standing.PeriodEnd.Equal(truth.PeriodEnd)):
		return fmt.Sprintf("its standing is %+v, in truth %+v", b.Standing, truth)
	case truth.Subscription == "" && b.Standing.Status != "" && !b.Standing.Status.Over():
		return fmt.Sprintf("its standing is %+v, in truth it has no subscription", b.Standing)
	}
	return ""
}

// changesPlan tells whether an event is of another plan.
func changesPlan(e audit.Event) bool {
	return slices.ContainsFunc(e.Changes, func(c audit.Change) bool { return c.Field == "plan" })
}

// TestGuaranteeOneRoundMakesUpForAllLostWebhooks has tenants live in every way that
// there is, for 38 days, and delivers no webhook of all that. One round of the
// reconciler must make plan, keys' copies and standing of each what Stripe has; the
// plans of the operator's tenants stay as they were, and who was closed pays no
// longer. Then everybody's life goes on, two rounds are killed half-way, and one
// more must make up for all of it. What Stripe has is told by lives.Truth, which
// shares no code with Outpost's rules.
func TestGuaranteeOneRoundMakesUpForAllLostWebhooks(t *testing.T) {
	g := guarantee.For(t, "billing-2", "After one round of the reconciler no plan differs from Stripe, though every webhook was lost and rounds were killed.")
	c := clock.NewManual(settlementtest.Start)
	client := enginetest.Client(t, nil)
	name := enginetest.TableName(t, client)
	w := entitlementtest.On(t, table.New(client, name, c), c)
	w.Fake.FailWebhooks(standin.WebhookFaults{Drop: 1})
	shop := lives.New(w.Fake, w.URL, entitlementtest.Keys, w.Keeper.Prices)
	random := rand.New(rand.NewPCG(2, 2))

	ways := kinds()
	subjects := make([]*subject, g.Pick(600, 2*len(ways)))
	for i := range subjects {
		w.Another("free")
		world := *w
		subjects[i] = &subject{World: &world, kind: ways[i%len(ways)]}
	}
	began := w.Clock.Now()
	for _, at := range []time.Duration{0, 3 * day, 4 * day, 36 * day, 37 * day} {
		w.Advance(began.Add(at).Sub(w.Clock.Now()))
		for _, s := range subjects {
			for _, step := range s.kind.steps {
				if step.at == at {
					if err := step.do(s, shop); err != nil {
						t.Fatalf("%s, after %s: %v", s.kind.name, at, err)
					}
				}
			}
		}
	}
	w.Advance(20 * time.Hour)
	for _, s := range subjects {
		var err error
		s.was, err = s.Table.Tenant(t.Context(), s.World.Tenant)
		w.Must(err)
	}
	differ := func() (different map[string]bool, n int) {
		different = map[string]bool{}
		for _, s := range subjects {
			if d := s.difference(shop); d != "" {
				different[s.kind.name+": "+d] = true
				n++
			}
		}
		return different, n
	}
	r, out := on(w)

	_, before := differ()
	listed, err := w.Stripe.Undelivered(t.Context(), w.Clock.Now().Add(-listed))
	w.Must(err)
	calls := w.Fake.Calls()
	w.Must(r.handle(t.Context()))
	calls = w.Fake.Calls() - calls
	found, after := differ()
	if before < len(subjects)/2 || after != 0 {
		t.Errorf("%d tenants differed before the round, %d after: %q", before, after, slices.Sorted(maps.Keys(found)))
	}
	acted := judgeEvents(t, w, subjects, listed)
	out.Reset()
	w.Clock.Advance(time.Minute)
	if w.Must(r.handle(t.Context())); strings.Contains(out.String(), string(metric.PlansHealed)) || !strings.Contains(out.String(), string(metric.EventsUnheard)) {
		t.Errorf("the second round changed something, or does not tell of the webhooks: %s", out)
	}

	for range 2 { // life goes on
		w.Advance(2 * day)
		for _, s := range subjects {
			if s.customer != "" && s.was.PlanSource == tenant.ByStripe && s.was.Entitlement.State != tenant.Closed {
				shop.Step(random, s.customer)
			}
		}
	}
	_, again := differ()
	left := again
	var halves []string
	for i := range 2 {
		cut := settlementtest.After(len(subjects) * 3)
		half := r
		store := table.New(enginetest.Client(t, cut), name, c)
		keeper := w.Keeper
		keeper.Store = store
		half.store, half.keeper = store, keeper
		if err := half.handle(t.Context()); err == nil || !cut.Reached() {
			t.Errorf("round %d was not killed: %v", i, err)
		}
		_, n := differ()
		halves = append(halves, fmt.Sprint(n))
		if n > left || n == 0 {
			t.Errorf("round %d was killed when %d of %d still differed: not half-way", i, n, left)
		}
		left = n
		w.Clock.Advance(time.Minute)
	}
	if left == again { // each begins with the same lookups: how far it comes after them is chance
		t.Errorf("the two rounds that were killed changed nothing")
	}
	w.Must(r.handle(t.Context()))
	found, rest := differ()
	if rest != 0 {
		t.Errorf("%d tenants differ after the round that followed: %q", rest, slices.Sorted(maps.Keys(found)))
	}
	judgeEvents(t, w, subjects, nil)

	g.Figure("tenants", fmt.Sprintf("%d, living in %d ways", len(subjects), len(ways)))
	g.Figure("events of which no webhook arrived", len(w.Fake.Events()))
	g.Figure("tenants that differed before the round, and after", fmt.Sprintf("%d, %d", before, after))
	g.Figure("undelivered events that were listed, and acted", fmt.Sprintf("%d, %d: of each tenant its newest", len(listed), acted))
	g.Figure("requests to Stripe in the round", calls)
	g.Figure("when life had gone on: tenants that differed before, after each of two rounds that were killed, and after one more", fmt.Sprintf("%d, %s, %d", again, strings.Join(halves, ", "), rest))
}

// judgeEvents makes sure that of the events that were listed each customer's newest
// has acted, and of all none twice, and that the operator's tenants are what they
// were: only how they stand with Stripe is told. It returns how many of those listed have acted.
func judgeEvents(t *testing.T, w *entitlementtest.World, subjects []*subject, listed []stripe.Event) (acted int) {
	t.Helper()
	for _, s := range subjects {
		newest := ""
		for _, e := range listed {
			if e.Customer != "" && e.Customer == s.customer {
				newest = e.ID
				break
			}
		}
		if newest != "" {
			done, err := w.EventActed(t.Context(), newest)
			if w.Must(err); !done {
				t.Errorf("%s: its newest event has not acted", s.kind.name)
			}
			acted++
		}
		told, changes := map[string]int{}, s.Events()
		for _, e := range changes {
			if i := strings.Index(e.Detail, "evt_"); i >= 0 {
				told[strings.TrimSuffix(strings.Fields(e.Detail[i:])[0], ",")]++
			}
		}
		for event, n := range told {
			if n > 1 {
				t.Errorf("%s: the event %s has acted %d times", s.kind.name, event, n)
			}
		}
		if s.kind.owner == tenant.ByOperator {
			if tn, err := s.Table.Tenant(t.Context(), s.World.Tenant); err != nil || tn != s.was || slices.ContainsFunc(changes, changesPlan) {
				t.Errorf("%s: it is %+v, and was %+v (%v); %d changes", s.kind.name, tn, s.was, err, len(changes))
			}
		}
	}
	return acted
}
