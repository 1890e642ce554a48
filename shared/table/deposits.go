package table

import (
	"context"
	"errors"
	"time"

	"github.com/guregu/dynamo/v2"
)

// Deposit tells where the values of a tenant's secrets are that are kept in
// Secrets Manager: which secret there holds them, and which version of it. What
// no Deposit names does not count.
type Deposit struct {
	// Number tells the secrets that a tenant has one after the other apart: when
	// the last value is gone, the next one goes into a secret of the next number.
	Number  int
	Version string // of that secret; empty while there is none
	Changes int    // versions that the tenant has had so far
	Emptied int    // number of a secret that holds nothing any more and may still be there; 0 for none
	Last    string // lease under which the last change was made
}

// SecretRows returns every version of every secret of a tenant, by name, the
// newest of a name last, and the tenant's Deposit. A change that is committed
// meanwhile may be in the one and not in the other.
func (t *Table) SecretRows(ctx context.Context, tenantID string) ([]Sealed, Deposit, error) {
	var rows []struct {
		key
		Secret  Sealed
		Deposit Deposit
	}
	// The deposit's key begins as those of secrets do: one query reads both.
	err := t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.BeginsWith, secretsSK).Consistent(true).All(ctx, &rows)
	if err != nil {
		return nil, Deposit{}, read(err)
	}
	var all []Sealed
	var d Deposit
	for _, r := range rows {
		if r.SK == secretsSK {
			d = r.Deposit
		} else {
			all = append(all, r.Secret)
		}
	}
	return all, d, nil
}

// LeaseDeposit lets the holder of a lease change a tenant's deposit until then,
// unless somebody else may. It returns ErrLeased, and ErrKeyRevoked for a caller
// whose key is not good: nothing may be written anywhere for it.
func (t *Table) LeaseDeposit(ctx context.Context, tenantID, lease string, until time.Time, by By) error {
	return t.again(ctx, func() error {
		tx := t.db.WriteTx().Idempotent(true)
		if by.KeyHash != "" {
			tx.Check(t.goodKey(tenantID, by.KeyHash))
		}
		tx.Update(t.deposit(tenantID).Set("Lease", lease).Set("LeaseUntil", until.UnixMilli()).
			If("attribute_not_exists(Lease) OR Lease = ? OR LeaseUntil <= ?", lease, t.clock.Now().UnixMilli()))
		err := transacted(tx.Run(ctx))
		var c *conditionFailed
		switch {
		case !errors.As(err, &c):
			return err
		case by.KeyHash != "" && c.failed[0]:
			return ErrKeyRevoked
		}
		return ErrLeased
	})
}

// EndLease lets others change a tenant's deposit. It does nothing for who does
// not hold the lease.
func (t *Table) EndLease(ctx context.Context, tenantID, lease string) error {
	return t.again(ctx, func() error {
		err := t.deposit(tenantID).Remove("Lease", "LeaseUntil").If("Lease = ?", lease).Run(ctx)
		if err = written(err, errUnchanged); errors.Is(err, errUnchanged) {
			return nil
		}
		return err
	})
}

// DepositChange is what the holder of a lease has done: where the values are
// now, and which rows come and go with that.
type DepositChange struct {
	Deposit Deposit
	Put     *Sealed  // a new version, or none
	Delete  []Sealed // by name and version
	Before  *Sealed  // what the audit trail shows as before: a version that the change is of, or none
}

// CommitDeposit ends a lease with a change, in one transaction with the check of
// the caller's key and the audit event. It returns ErrStale, having changed
// nothing, when the lease is another's by now, and ErrKeyRevoked.
func (t *Table) CommitDeposit(ctx context.Context, tenantID, lease string, c DepositChange, by By) error {
	var before, after map[string]string
	if c.Before != nil {
		before = secretFacts(*c.Before)
	}
	if c.Put != nil {
		after = secretFacts(*c.Put)
	}
	c.Deposit.Last = lease
	return t.again(ctx, func() error {
		err := t.commit(ctx, tenantID, by.changing(before, after), func(tx *dynamo.WriteTx) {
			tx.Update(t.deposit(tenantID).Set("Deposit", c.Deposit).Remove("Lease", "LeaseUntil").If("Lease = ?", lease))
			if c.Put != nil {
				tx.Put(t.items.Put(secretRow{key{tenantPK(tenantID), secretSK(c.Put.Name, c.Put.Version)}, *c.Put}))
			}
			for _, s := range c.Delete {
				tx.Delete(t.items.Delete("PK", tenantPK(tenantID)).Range("SK", secretSK(s.Name, s.Version)))
			}
		})
		var failed *conditionFailed
		if !errors.As(err, &failed) {
			return err
		}
		return t.unlessMine(ctx, tenantID, lease)
	})
}

// MoveDeposit ends a lease with a deposit that holds nothing, of another number.
// It returns ErrStale, having changed nothing, when the lease is another's.
func (t *Table) MoveDeposit(ctx context.Context, tenantID, lease string, d Deposit) error {
	d.Last = lease
	return t.again(ctx, func() error {
		err := t.deposit(tenantID).Set("Deposit", d).Remove("Lease", "LeaseUntil").If("Lease = ?", lease).Run(ctx)
		if err = written(err, ErrStale); errors.Is(err, ErrStale) {
			return t.unlessMine(ctx, tenantID, lease)
		}
		return err
	})
}

// unlessMine returns ErrStale where the last change was made under another lease;
// else an answer was lost.
func (t *Table) unlessMine(ctx context.Context, tenantID, lease string) error {
	_, there, err := t.SecretRows(ctx, tenantID)
	if err == nil && there.Last != lease {
		err = ErrStale
	}
	return err
}

// ForgetEmptied notes that the secret of that number is no longer there.
func (t *Table) ForgetEmptied(ctx context.Context, tenantID string, number int) error {
	return t.again(ctx, func() error {
		err := t.deposit(tenantID).Set("'Deposit'.'Emptied'", 0).If("'Deposit'.'Emptied' = ?", number).Run(ctx)
		if err = written(err, errUnchanged); errors.Is(err, errUnchanged) {
			return nil
		}
		return err
	})
}

func (t *Table) deposit(tenantID string) *dynamo.Update {
	return t.items.Update("PK", tenantPK(tenantID)).Range("SK", secretsSK)
}
