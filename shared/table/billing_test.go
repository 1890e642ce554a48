package table_test

import (
	"errors"
	"testing"

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
