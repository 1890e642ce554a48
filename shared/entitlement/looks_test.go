package entitlement_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"outpost/shared/billing"
	"outpost/shared/clock"
	"outpost/shared/entitlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// numbered is a Stripe whose customer has one subscription at a time; its number
// is how often things have changed there. Each call stops before it reads and
// before it answers, until it is told to go on.
type numbered struct {
	changes int
	asked   chan *question
}

// question is one call of a look, seen from outside.
type question struct {
	goOn   chan struct{} // it reads
	read   chan struct{}
	answer chan struct{} // it answers
}

func (n *numbered) Account(ctx context.Context, customer string) (billing.Account, error) {
	q := &question{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	n.asked <- q
	<-q.goOn
	out := n.account()
	close(q.read)
	<-q.answer
	return out, nil
}

func (n *numbered) account() billing.Account {
	price := []string{"price_pro", "price_enterprise"}[n.changes%2]
	return billing.Account{Subscriptions: []billing.Subscription{{ID: fmt.Sprint("sub_", n.changes), Status: billing.Active, Price: price, PeriodEnd: settlementtest.Start.Add(day)}}}
}

func (n *numbered) ClosePages(context.Context, string) error { return errors.New("nobody closes here") }

func (n *numbered) Quit(context.Context, string) (billing.Account, error) {
	return billing.Account{}, errors.New("nobody quits here")
}

// look is one call of Sync under the test's hand.
type look struct {
	began int // changes at Stripe when it began
	now   *question
	phase int // 1: it has asked; 2: it has read
	ended chan error
}

// late is a store that says that a look began when it was written: what a look
// does that takes its time after the fetch.
type late struct {
	*table.Table
	clock clock.Clock
}

func (l late) Entitle(ctx context.Context, tenantID string, look table.Look, by table.By) (was, now tenant.Tenant, err error) {
	look.FetchedAt = l.clock.Now()
	return l.Table.Entitle(ctx, tenantID, look, by)
}

// play has a consumer, the reconciler and a return page look at one tenant at
// once, while things change at Stripe, in an order drawn by chance: it decides who
// begins, reads and writes when. It returns the first breach of what must hold of
// every look that has succeeded: what it found, or something newer, stays.
func play(t *testing.T, store *table.Table, c *clock.Manual, keeperStore entitlement.Store, tenantID string, random *rand.Rand) (breach string, looks int) {
	t.Helper()
	n := &numbered{asked: make(chan *question)}
	keeper := entitlement.Keeper{Stripe: n, Store: keeperStore, Waker: nobody{}, Prices: billing.Prices{{ID: "price_pro", Plan: "pro"}, {ID: "price_enterprise", Plan: "enterprise"}}, Clock: c}
	var open []*look
	least, last := 0, time.Time{} // what must be known: no older number, no earlier look
	// follow waits until a look asks Stripe again, or ends.
	follow := func(l *look) {
		select {
		case l.now = <-n.asked:
			l.phase = 1
		case err := <-l.ended:
			open = slices.DeleteFunc(open, func(o *look) bool { return o == l })
			if err == nil {
				least = max(least, l.began)
				looks++
			} else if !errors.Is(err, table.ErrStale) {
				t.Fatal(err)
			}
		}
	}
	for step := range 60 {
		c.Advance(time.Millisecond)
		switch i := random.IntN(6); {
		case i == 0:
			n.changes++
		case i < 3 && len(open) < 3 && step < 50:
			l := &look{began: n.changes, ended: make(chan error, 1)}
			open = append(open, l)
			event := fmt.Sprintf("evt_%s_%d", tenantID, step)
			if random.IntN(2) == 0 {
				event = ""
			}
			go func() {
				_, err := keeper.Sync(context.Background(), tenantID, entitlement.Cause{Actor: "test", Event: event})
				l.ended <- err
			}()
			follow(l)
		case len(open) > 0:
			l := open[random.IntN(len(open))]
			if l.phase == 1 {
				close(l.now.goOn)
				<-l.now.read
				l.phase = 2
				break
			}
			close(l.now.answer)
			follow(l)
		}
		b, err := store.Billing(t.Context(), tenantID)
		if err != nil {
			t.Fatal(err)
		}
		known := -1
		if _, err := fmt.Sscanf(b.Standing.Subscription, "sub_%d", &known); err != nil && looks > 0 && b.Standing.Subscription != "" {
			t.Fatal(err)
		}
		if looks > 0 && known < least && breach == "" {
			breach = fmt.Sprintf("step %d: change %d is known, and a look has succeeded that began after change %d", step, known, least)
		}
		if b.FetchedAt.Before(last) && breach == "" {
			breach = fmt.Sprintf("step %d: the latest look began at %s, before it at %s", step, b.FetchedAt, last)
		}
		last = b.FetchedAt
	}
	for len(open) > 0 { // all go home
		l := open[0]
		if l.phase == 1 {
			close(l.now.goOn)
			<-l.now.read
		}
		close(l.now.answer)
		follow(l)
		c.Advance(time.Millisecond)
	}
	b, err := store.Billing(t.Context(), tenantID)
	if err != nil {
		t.Fatal(err)
	}
	known := -1
	_, _ = fmt.Sscanf(b.Standing.Subscription, "sub_%d", &known)
	if known < least && breach == "" {
		breach = fmt.Sprintf("at the end change %d is known, and a look has succeeded that began after change %d", known, least)
	}
	return breach, looks
}

type nobody struct{}

func (nobody) Wake(context.Context, string) error { return nil }

// What a look has found, or something newer, stays, whoever else looks at the same
// time and whenever each of them reads and writes. The same play finds a breach
// where a look takes its time after it has read.
func TestWhatALookHasFoundOrSomethingNewerStays(t *testing.T) {
	w := newWorld(t)
	c := w.Clock
	looks, breaches := 0, 0
	for seed := range uint64(25) {
		for _, broken := range []bool{false, true} {
			w.Another("free")
			if _, err := w.BindCustomer(t.Context(), w.Tenant, fmt.Sprintf("cus_%d_%t", seed, broken), w.By("billing.checkout")); err != nil {
				t.Fatal(err)
			}
			var store entitlement.Store = w.Table
			if broken {
				store = late{w.Table, c}
			}
			breach, n := play(t, w.Table, c, store, w.Tenant, rand.New(rand.NewPCG(seed, 5)))
			if !broken {
				looks += n
				if breach != "" {
					t.Errorf("seed %d: %s", seed, breach)
				}
			} else if breach != "" {
				breaches++
			}
		}
	}
	if looks < 150 || breaches == 0 {
		t.Errorf("%d looks; %d plays of 25 found what is broken", looks, breaches)
	}
}
