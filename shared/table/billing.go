package table

import (
	"context"
	"errors"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/billing"
	"outpost/shared/tenant"
)

// Billing has three rows: how a tenant stands with Stripe, which is in the index
// of the billed for as long as Stripe decides about the tenant's plan, or takes money
// of a tenant about whom it does not; whose a
// customer of Stripe's is; and which of Stripe's events have acted.

// seenLife is longer than Stripe's events can be delivered, or listed.
const seenLife = 45 * 24 * time.Hour

const (
	billingSK  = "BILLING"
	customerSK = "CUS"
	seenSK     = "EVT"
	billedPK   = "BILLED"
)

func customerPK(id string) string { return "CUS#" + id }
func seenPK(event string) string  { return "EVT#" + event }

type billingRow struct {
	key
	GSI1PK  string `dynamo:",omitempty"` // while Stripe decides about the plan, or takes money
	GSI1SK  string `dynamo:",omitempty"`
	Version int64
	Billing tenant.Billing
}

type customerRow struct {
	key
	GSI1PK, GSI1SK string
	Tenant         string
}

// newCustomerRow lists the customer under its tenant, whose customers are removed
// with it: also those who were deleted at Stripe.
func newCustomerRow(tenantID, customer string) customerRow {
	return customerRow{key{customerPK(customer), customerSK}, customersPK(tenantID), customer, tenantID}
}

func customersPK(tenantID string) string { return tenantPK(tenantID) + "#CUSTOMERS" }

type seenRow struct {
	key
	Tenant string
	TTL    int64
}

// Billing returns how a tenant stands with Stripe; the zero value for one that
// has nothing to do with Stripe.
func (t *Table) Billing(ctx context.Context, tenantID string) (tenant.Billing, error) {
	row, err := t.billing(ctx, tenantID)
	return row.Billing, err
}

func (t *Table) billing(ctx context.Context, tenantID string) (row billingRow, err error) {
	err = t.get(ctx, key{tenantPK(tenantID), billingSK}, &row)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	row.key = key{tenantPK(tenantID), billingSK}
	return row, err
}

// TenantOfCustomer returns whose a customer of Stripe's is, or ErrNotFound.
func (t *Table) TenantOfCustomer(ctx context.Context, customer string) (tenantID string, err error) {
	var row customerRow
	err = t.get(ctx, key{customerPK(customer), customerSK}, &row)
	return row.Tenant, err
}

// EventActed tells whether an event of Stripe's has acted. It saves work;
// Entitle decides.
func (t *Table) EventActed(ctx context.Context, event string) (bool, error) {
	var row seenRow
	err := t.get(ctx, key{seenPK(event), seenSK}, &row)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// BilledTenants returns the ids of tenants about whose plan Stripe decides, or of
// whom it may take money all the same, in their order, behind after, and the id to
// go on behind; empty when there are no more.
func (t *Table) BilledTenants(ctx context.Context, after string, limit int) (ids []string, next string, err error) {
	q := t.items.Get("GSI1PK", billedPK).Index("GSI1").SearchLimit(limit)
	if after != "" {
		q.Range("GSI1SK", dynamo.Greater, after)
	}
	var rows []billingRow
	cut, err := q.AllWithLastEvaluatedKey(ctx, &rows)
	if err != nil {
		return nil, "", read(err)
	}
	for _, r := range rows {
		ids = append(ids, r.GSI1SK)
	}
	if cut != nil && len(ids) > 0 {
		next = ids[len(ids)-1]
	}
	return ids, next, nil
}

// BindCustomer makes Stripe decide about a tenant's plan, and gives the tenant a
// customer unless it has one: the one that it has is returned. Errors are those
// of tenant.Subscribe, ErrExists for a customer who is another tenant's, and
// ErrKeyRevoked.
func (t *Table) BindCustomer(ctx context.Context, tenantID, customer string, by By) (bound string, err error) {
	err = t.again(ctx, func() error {
		was, err := t.Tenant(ctx, tenantID)
		if err != nil {
			return err
		}
		now, err := was.Subscribe()
		if err != nil {
			return err
		}
		row, err := t.billing(ctx, tenantID)
		if err != nil {
			return err
		}
		if bound = row.Billing.Customer; bound != "" && now == was {
			return nil
		}
		bind := bound == ""
		if bind {
			if owner, err := t.TenantOfCustomer(ctx, customer); err == nil && owner != tenantID {
				return ErrExists
			} else if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			bound, row.Billing.Customer = customer, customer
		}
		keys, err := t.keyring(ctx, tenantID)
		if err != nil {
			return err
		}
		facts := func(tn tenant.Tenant, customer string) map[string]string {
			f := tenantFacts(tn)
			f["customer"] = customer
			return f
		}
		before := ""
		if !bind {
			before = bound
		}
		by := by.changing(facts(was, before), facts(now, bound))
		if now.Entitlement != was.Entitlement {
			by, keys = by.giving(now.Entitlement, keys)
		}
		return settled(t.commit(ctx, tenantID, by, func(tx *dynamo.WriteTx) {
			t.replace(tx, was, now, keys)
			t.putBilling(tx, row, true)
			if bind {
				tx.Put(t.items.Put(newCustomerRow(tenantID, customer)).If("attribute_not_exists(PK) OR Tenant = ?", tenantID))
			}
		}))
	})
	return bound, err
}

// Look is what a look at a tenant's customer gave.
type Look struct {
	Event     string    // id of the event of Stripe's that asked for it; empty for none
	FetchedAt time.Time // taken before the look
	Customer  string    // whom it was at; empty where there is none
	Deleted   bool      // the customer was deleted at Stripe
	Standing  billing.Standing
}

// Entitle gives a tenant what a look at Stripe gave, in one transaction with the
// event's id: the plan if Stripe decides about it, on its keys too, the standing, and
// the audit event if any of these is otherwise. It returns the tenant before and
// after. ErrExists means that the event has acted already; ErrStale that the look is
// not newer than the latest, not at the tenant's customer, or that its data are being removed: look
// again.
func (t *Table) Entitle(ctx context.Context, tenantID string, look Look, by By) (was, now tenant.Tenant, err error) {
	tried := false
	err = t.again(ctx, func() error {
		if was, err = t.Tenant(ctx, tenantID); err != nil {
			return err
		}
		row, err := t.billing(ctx, tenantID)
		if err != nil {
			return err
		}
		last, acted := row.Billing, false
		if look.Event != "" {
			if acted, err = t.EventActed(ctx, look.Event); err != nil {
				return err
			}
		}
		if tried && acted == (look.Event != "") && last.FetchedAt.Equal(look.FetchedAt) && last.Standing == look.Standing {
			now = was
			return nil // the answer of an earlier try was lost
		}
		if acted {
			return ErrExists
		}
		if !was.RemovingAt.IsZero() || last.Customer != look.Customer || !look.FetchedAt.After(last.FetchedAt) {
			return ErrStale
		}
		if now, err = was.Entitled(look.Standing); err != nil {
			return err
		}
		row.Billing.Standing, row.Billing.FetchedAt = look.Standing, look.FetchedAt
		if look.Deleted {
			row.Billing.Customer = ""
			row.Billing.Deleted++
		}
		tried = true
		return settled(t.entitle(ctx, was, now, last, row, look.Event, by))
	})
	return was, now, err
}

// entitle writes what Entitle decided on; a look that found nothing new leaves no
// audit event.
func (t *Table) entitle(ctx context.Context, was, now tenant.Tenant, last tenant.Billing, row billingRow, event string, by By) error {
	keys, err := t.keyring(ctx, was.ID)
	if err != nil {
		return err
	}
	over := (now.Entitlement.State == tenant.Closed || now.PlanSource != tenant.ByStripe) && !row.Billing.Standing.Living()
	writes := func(tx *dynamo.WriteTx) {
		t.replace(tx, was, now, keys)
		t.putBilling(tx, row, !over)
		if event != "" {
			tx.Put(t.items.Put(seenRow{key{seenPK(event), seenSK}, was.ID, t.clock.Now().Add(seenLife).Unix()}).If("attribute_not_exists(PK)"))
		}
	}
	by = by.changing(billingFacts(was, last), billingFacts(now, row.Billing))
	if len(by.Audit.Changes) > 0 {
		return t.commit(ctx, was.ID, by, writes)
	}
	tx := t.db.WriteTx().Idempotent(true)
	writes(tx)
	return transacted(tx.Run(ctx))
}

// putBilling writes the row that was read with a version, in the index of the
// billed or not.
func (t *Table) putBilling(tx *dynamo.WriteTx, row billingRow, billed bool) {
	was := row
	row.Version++
	row.GSI1PK, row.GSI1SK = "", ""
	if billed {
		row.GSI1PK, row.GSI1SK = billedPK, row.PK[len(tenantPK("")):]
	}
	is, args := was.still()
	tx.Put(t.items.Put(row).If(is, args...))
}

// still is the condition that the row is as it was read.
func (r billingRow) still() (is string, args []any) {
	if r.Version == 0 {
		return "attribute_not_exists('Version')", nil
	}
	return "'Version' = ?", []any{r.Version}
}

func billingFacts(t tenant.Tenant, b tenant.Billing) map[string]string {
	facts := b.Standing.Facts()
	facts["plan"], facts["customer"] = t.Entitlement.Plan, b.Customer
	return facts
}

// handOver changes who decides about a tenant's plan, if it still stands with Stripe
// as was read where the operator is to. It is in the index of the billed then: one
// whose plan the operator takes may have a page of Checkout open, and a look that
// finds nothing left takes it out. What else the row has stays.
func (t *Table) handOver(tx *dynamo.WriteTx, tn tenant.Tenant, stands billingRow) {
	u := t.items.Update("PK", tenantPK(tn.ID)).Range("SK", billingSK).Set("GSI1PK", billedPK).Set("GSI1SK", tn.ID)
	if tn.PlanSource != tenant.ByStripe {
		is, args := stands.still()
		u.If(is, args...)
	}
	tx.Update(u)
}
