package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"outpost/shared/clock"
	"outpost/shared/entitlement"
	"outpost/shared/metric"
	"outpost/shared/stripe"
	"outpost/shared/table"
)

type store interface {
	BilledTenants(ctx context.Context, after string, limit int) (ids []string, next string, err error)
	TenantOfCustomer(ctx context.Context, customer string) (tenantID string, err error)
	EventActed(ctx context.Context, event string) (bool, error)
}

type undelivered interface {
	Undelivered(ctx context.Context, since time.Time) ([]stripe.Event, error)
}

type keeper interface {
	Sync(ctx context.Context, tenantID string, cause entitlement.Cause) (changed bool, err error)
}

type reconciler struct {
	store   store
	events  undelivered
	keeper  keeper
	metrics *metric.Emitter
	clock   clock.Clock
}

const (
	// actor is how the audit trail names this function.
	actor = "stripe/reconcile"
	// listed is how long Stripe tries to deliver an event, and a day more.
	listed = 4 * 24 * time.Hour
	// hearing is how long a webhook may take to come, tried again by Stripe.
	hearing = time.Hour
	// atOnce bounds the calls to Stripe, which takes 25 a second in test mode.
	atOnce = 4
	// enough failures in a row mean that Stripe is down: the next hour's round
	// goes on, and none of these makes it worse.
	enough = 5
	// spare is what of the function's time is left for the tenants in hand.
	spare = 30 * time.Second
)

// handle syncs first the tenants of events that Stripe could not deliver, then
// all others who stand with Stripe, in an order of each round's own: a
// round that ends early leaves others behind than the next. A tenant that cannot
// be synced does not stop the others, nor does a list of events that cannot be had.
func (r reconciler) handle(ctx context.Context) error {
	done := round{}
	events, err := r.events.Undelivered(ctx, r.clock.Now().Add(-listed))
	if err != nil {
		done.failed(err)
	}
	told, owners, err := r.told(ctx, events)
	if err != nil {
		return err
	}
	billed, err := r.billed(ctx)
	if err != nil {
		return err
	}
	all := compared(billed, told)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	r.work(ctx, told, &done)
	r.work(ctx, all, &done)
	if done.changed > 0 {
		r.metrics.Emit(metric.PlansHealed, float64(done.changed), r.clock.Now())
	}
	unheard, err := r.unheard(ctx, events, owners, billed)
	if err != nil {
		done.errs = append(done.errs, err)
	}
	if unheard > 0 {
		r.metrics.Emit(metric.EventsUnheard, float64(unheard), r.clock.Now())
	}
	slog.InfoContext(ctx, "reconciled", "undelivered", len(events), "unheard", unheard, "told", len(told), "tenants", len(all), "looked", done.looked, "changed", done.changed, "failed", len(done.errs))
	if left := len(told) + len(all) - done.looked; left > 0 {
		done.errs = append(done.errs, fmt.Errorf("%d were not looked at: Stripe did not answer, or the time was over", left))
	}
	return errors.Join(done.errs...)
}

// job is one tenant to sync.
type job struct{ tenant, event, detail string }

// told are the tenants of such events, each with its newest one, and whose the
// customers are. A tenant whose
// newest event has acted, and is listed still, is one like all others: what time
// alone has changed since has no event.
func (r reconciler) told(ctx context.Context, events []stripe.Event) (jobs []job, owners map[string]string, err error) {
	owners = map[string]string{}
	for _, e := range events {
		if _, seen := owners[e.Customer]; e.Customer == "" || seen {
			continue
		}
		tenantID, err := r.store.TenantOfCustomer(ctx, e.Customer)
		if owners[e.Customer] = tenantID; errors.Is(err, table.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		acted, err := r.store.EventActed(ctx, e.ID)
		if err != nil {
			return nil, nil, err
		}
		if !acted {
			jobs = append(jobs, job{tenantID, e.ID, fmt.Sprintf("%s, %s, which was not delivered", e.Type, e.ID)})
		}
	}
	return jobs, owners, nil
}

// unheard counts the events of tenants who are compared, of which no webhook has
// acted in time. The newest of a customer's is not among them, as this
// round has had it act; with every webhook lost the others are, for as long as they
// are listed. An event that only another endpoint has not taken has acted.
func (r reconciler) unheard(ctx context.Context, events []stripe.Event, owners map[string]string, billed []string) (n int, err error) {
	decided := map[string]bool{}
	for _, tenantID := range billed {
		decided[tenantID] = true
	}
	for _, e := range events {
		if !decided[owners[e.Customer]] || r.clock.Now().Sub(e.At) <= hearing {
			continue
		}
		acted, err := r.store.EventActed(ctx, e.ID)
		if err != nil {
			return n, err
		}
		if !acted {
			n++
		}
	}
	return n, nil
}

// compared are the tenants that are compared without an event.
func compared(billed []string, told []job) (jobs []job) {
	seen := map[string]bool{}
	for _, j := range told {
		seen[j.tenant] = true
	}
	for _, tenantID := range billed {
		if !seen[tenantID] {
			jobs = append(jobs, job{tenant: tenantID, detail: "the hourly comparison with Stripe"})
		}
	}
	return jobs
}

// billed are the tenants about whose plan Stripe decides, and those who may have left
// something there before the operator did.
func (r reconciler) billed(ctx context.Context) (all []string, err error) {
	for after := ""; ; {
		ids, next, err := r.store.BilledTenants(ctx, after, 1000)
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
		if next == "" {
			return all, nil
		}
		after = next
	}
}

// round is what a round has come to.
type round struct {
	mu              sync.Mutex
	looked, changed int
	failing         int // in a row
	errs            []error
}

// over tells whether the round begins no other tenant.
func (d *round) over(ctx context.Context, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	deadline, bounded := ctx.Deadline()
	return d.failing >= enough || ctx.Err() != nil || bounded && deadline.Sub(now) < spare
}

// failed notes a failure. One that is a single tenant's own says nothing of
// Stripe's health.
func (d *round) failed(err error) {
	d.errs = append(d.errs, err)
	if !errors.Is(err, entitlement.ErrUndecided) {
		d.failing++
	}
}

// note notes what became of a tenant.
func (d *round) note(changed bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked++
	if err != nil {
		d.failed(err)
		return
	}
	d.failing = 0
	if changed {
		d.changed++
	}
}

func (r reconciler) work(ctx context.Context, jobs []job, done *round) {
	queue := make(chan job)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for j := range queue {
				done.note(r.keeper.Sync(ctx, j.tenant, entitlement.Cause{Actor: actor, Event: j.event, Detail: j.detail}))
			}
		})
	}
	for _, j := range jobs {
		if done.over(ctx, r.clock.Now()) {
			break
		}
		queue <- j
	}
	close(queue)
	workers.Wait()
}
