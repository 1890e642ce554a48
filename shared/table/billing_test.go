package table_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"outpost/shared/billing"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// A key that asks for a customer is checked, and gets the new entitlement, in the
// one transaction that makes Stripe decide.
func TestAKeyThatBindsACustomerMustBeGoodAndFollows(t *testing.T) {
	b := newBench(t)
	_, err := b.ChangeTenant(b.ctx, b.tenant, by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) {
		return tn.Apply(tenant.Change{Plan: new("free")})
	})
	b.must(err)
	mine := func(action string) table.By {
		by := by(action)
		by.KeyHash = b.caller.KeyHash
		return by
	}
	for range 2 {
		bound, err := b.BindCustomer(b.ctx, b.tenant, "cus_a", mine("billing.customer"))
		b.must(err)
		tn, err := b.Tenant(b.ctx, b.tenant)
		b.must(err)
		k, err := b.KeyByHash(b.ctx, b.caller.KeyHash)
		b.must(err)
		if bound != "cus_a" || tn.PlanSource != tenant.ByStripe || k.Entitlement != tn.Entitlement {
			t.Errorf("%s, %+v, its key %+v", bound, tn, k.Entitlement)
		}
	}
	b.must(b.Intend(b.ctx, b.tenant, mine("billing.plan")))

	other := benchOn(t, b.Table, b.clock)
	_, err = other.ChangeTenant(b.ctx, other.tenant, by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) {
		return tn.Apply(tenant.Change{Plan: new("free")})
	})
	b.must(err)
	other.revoke()
	before, err := other.AuditTrail(b.ctx, other.tenant, 100)
	b.must(err)
	revoked := func(action string) table.By {
		by := by(action)
		by.KeyHash = other.caller.KeyHash
		return by
	}
	if _, err := other.BindCustomer(b.ctx, other.tenant, "cus_b", revoked("billing.customer")); !errors.Is(err, table.ErrKeyRevoked) {
		t.Errorf("bound: %v", err)
	}
	if err := other.Intend(b.ctx, other.tenant, revoked("billing.plan")); !errors.Is(err, table.ErrKeyRevoked) {
		t.Errorf("intended: %v", err)
	}
	after, err := other.AuditTrail(b.ctx, other.tenant, 100)
	b.must(err)
	if owner, err := b.TenantOfCustomer(b.ctx, "cus_b"); !errors.Is(err, table.ErrNotFound) || len(after) != len(before) {
		t.Errorf("a revoked key binds for %q: %v, %d events more", owner, err, len(after)-len(before))
	}
}

// A look at Stripe that finds a subscription, and the operator who takes the plan
// over, at once: one of them is first, and no tenant pays for what decides nothing.
// The look changes nothing but the standing, so that this alone can be in the way.
func TestNoTakeoverPassesOverASubscriptionThatALookHasSeen(t *testing.T) {
	b := newBench(t)
	taken, refused := 0, 0
	for round := 0; round < 20 || (taken == 0 || refused == 0) && round < 500; round++ {
		one := benchOn(t, b.Table, b.clock)
		change := func(c tenant.Change) error {
			_, err := one.ChangeTenant(b.ctx, one.tenant, by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(c) })
			return err
		}
		b.must(change(tenant.Change{Plan: new("pro"), PlanSource: new(tenant.ByStripe)}))
		customer, err := one.BindCustomer(b.ctx, one.tenant, "cus_"+one.tenant, by("billing.customer"))
		b.must(err)
		standing := billing.Standing{Plan: "pro", Status: billing.Active, Subscription: "sub_1", Sentence: "It is paid."}
		var both sync.WaitGroup
		var took, looked error
		var seen tenant.Tenant
		both.Go(func() {
			for range rand.N(6) { // either may be first
				_, _ = one.Billing(b.ctx, one.tenant)
			}
			took = change(tenant.Change{PlanSource: new(tenant.ByOperator)})
		})
		both.Go(func() {
			seen, _, looked = one.Entitle(b.ctx, one.tenant, table.Look{FetchedAt: b.clock.Now().Add(time.Second), Customer: customer, Standing: standing}, by("billing.sync"))
		})
		both.Wait()
		tn, err := one.Tenant(b.ctx, one.tenant)
		b.must(err)
		now, err := one.Billing(b.ctx, one.tenant)
		b.must(err)
		switch {
		case errors.Is(took, tenant.ErrSubscribed) && looked == nil && tn.PlanSource == tenant.ByStripe && now.Standing == standing:
			refused++
		case took == nil && looked == nil && seen.PlanSource == tenant.ByOperator && tn.PlanSource == tenant.ByOperator && now.Standing == standing:
			taken++ // the look saw the operator's plan, and tells of what is charged beside it
		default:
			t.Fatalf("round %d: the takeover %v, the look %v: the plan is the %s's, the standing %+v", round, took, looked, tn.PlanSource, now.Standing)
		}
	}
	if taken == 0 || refused == 0 {
		t.Errorf("%d taken over, %d refused: it was no race", taken, refused)
	}
}
