package secret

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/topology"
)

// depositRows is the part of the table that a Depository is in.
type depositRows interface {
	SecretRows(ctx context.Context, tenantID string) ([]table.Sealed, table.Deposit, error)
	LeaseDeposit(ctx context.Context, tenantID, lease string, until time.Time, by table.By) error
	CommitDeposit(ctx context.Context, tenantID, lease string, c table.DepositChange, by table.By) error
	MoveDeposit(ctx context.Context, tenantID, lease string, d table.Deposit) error
	EndLease(ctx context.Context, tenantID, lease string) error
	ForgetEmptied(ctx context.Context, tenantID string, number int) error
}

// Depository is the Store in Secrets Manager: one JSON secret a tenant, which
// holds a ciphertext for each version that is kept. The keys of the ciphertexts
// are in the table, so that neither place opens a value alone.
//
// Secrets Manager has no conditional write and no transaction with the table. So
// nothing there counts until the table says so: each change writes a new version
// of the JSON secret, which never changes again, and a transaction makes it the
// one that is read. What is written and never committed is noise: the keys of
// what is new in it were never stored. A lease in the table lets one caller at a
// time change a tenant's secret, by the version that the last change left; it
// spares needless versions, of which Secrets Manager takes a hundred a day, and a
// caller whose key is not good does not get it. Correctness hangs on the
// transaction alone, which the holder of an outlived lease fails.
//
// A secret that holds nothing is deleted, and never written again: the next one
// has another number. So whoever is late to delete it, deletes no value.
type Depository struct {
	secrets *secretsmanager.Client
	prefix  string
	rows    depositRows
	clock   clock.Clock
}

// NewDepository returns a Depository whose secrets have names that begin with a
// prefix.
func NewDepository(client *secretsmanager.Client, prefix string, rows depositRows) *Depository {
	return &Depository{client, prefix, rows, clock.System}
}

// WithClock returns the same store under another clock, by which leases end.
func (d *Depository) WithClock(c clock.Clock) *Depository {
	return &Depository{d.secrets, d.prefix, d.rows, c}
}

const (
	// leaseLife is how long others wait for a caller who died; one who lives is
	// done within changeTime or gives up.
	leaseLife  = 15 * time.Second
	changeTime = 10 * time.Second
	endTime    = 2 * time.Second
	// maxWaits bounds how often a lease is asked for, with up to maxPause in
	// between.
	maxWaits = 60
	maxPause = 250 * time.Millisecond
	// maxReads bounds how often a version is looked for that another caller has
	// replaced meanwhile, or that does not show yet.
	maxReads = 8
)

// Put stores a new version of a secret.
func (d *Depository) Put(ctx context.Context, tenantID, name, value, host string, by table.By) error {
	err := check(name, value, host)
	if err != nil {
		return err
	}
	sealed := table.Sealed{Name: name, Display: display(value), Host: host, Key: make([]byte, 32)}
	_, _ = rand.Read(sealed.Key) // never fails
	err = d.change(ctx, tenantID, by, func(rows []table.Sealed, doc document) (table.DepositChange, error) {
		sealed.Version, sealed.SetAt = 1, d.clock.Now()
		c := table.DepositChange{Put: &sealed}
		for i, r := range rows {
			if r.Name != name {
				continue
			}
			sealed.Version, c.Before = r.Version+1, &r // the newest is the last
			if i+1 < len(rows) && rows[i+1].Name == name {
				c.Delete = append(c.Delete, r) // all but the newest go
			}
		}
		var err error
		doc[entry(sealed)], err = seal(sealed.Key, tenantID, sealed, value)
		return c, err
	})
	if err != nil {
		return fmt.Errorf("put secret %s: %w", name, err)
	}
	return nil
}

// DeleteSecret forgets every version of a secret.
func (d *Depository) DeleteSecret(ctx context.Context, tenantID, name string, by table.By) error {
	err := d.change(ctx, tenantID, by, func(rows []table.Sealed, _ document) (c table.DepositChange, _ error) {
		for _, r := range rows {
			if r.Name == name {
				c.Delete, c.Before = append(c.Delete, r), &r
			}
		}
		if c.Before == nil {
			return c, table.ErrNotFound
		}
		return c, nil
	})
	if err != nil {
		return fmt.Errorf("delete secret %s: %w", name, err)
	}
	return nil
}

// DeleteAll forgets every secret of a tenant. It reads nothing of Secrets Manager,
// so that a secret which somebody deleted there is in nobody's way.
func (d *Depository) DeleteAll(ctx context.Context, tenantID string, by table.By) error {
	if err := d.deleteAll(ctx, tenantID, by); err != nil {
		return fmt.Errorf("delete all secrets: %w", err)
	}
	return nil
}

func (d *Depository) deleteAll(ctx context.Context, tenantID string, by table.By) error {
	lease, err := d.lease(ctx, tenantID, by)
	if err != nil {
		return err
	}
	defer d.endLease(ctx, tenantID, lease)
	rows, now, err := d.rows.SecretRows(ctx, tenantID)
	if err != nil {
		return err
	}
	if err := d.sweep(ctx, tenantID, &now); err != nil {
		return err
	}
	// Also where nothing is set: a caller who died may have made the secret.
	now = emptied(now)
	if len(rows) == 0 {
		err = d.rows.MoveDeposit(ctx, tenantID, lease, now)
	} else {
		err = d.rows.CommitDeposit(ctx, tenantID, lease, table.DepositChange{Deposit: now, Delete: rows}, by)
	}
	if err != nil {
		return outlived(err)
	}
	return d.sweep(ctx, tenantID, &now)
}

// emptied is a deposit whose last value goes: its secret is to be deleted, and the
// next value goes into another.
func emptied(now table.Deposit) table.Deposit {
	now.Number = max(now.Number, 1)
	now.Number, now.Version, now.Emptied = now.Number+1, "", now.Number
	return now
}

// outlived says what it means that a lease was another's when it was to end.
func outlived(err error) error {
	if errors.Is(err, table.ErrStale) {
		return fmt.Errorf("%w: the change took longer than its lease", table.ErrConflict)
	}
	return err
}

// Open returns a secret's newest value, and the host of a git token. It returns
// ErrNotSet when there is none.
func (d *Depository) Open(ctx context.Context, tenantID, name string) (value, host string, err error) {
	var spoilt []byte // the key of what did not open
	for try := range maxReads {
		var rows []table.Sealed
		var now table.Deposit
		if rows, now, err = d.rows.SecretRows(ctx, tenantID); err != nil {
			break
		}
		rows = slices.DeleteFunc(rows, func(s table.Sealed) bool { return s.Name != name })
		if len(rows) == 0 || !rows[len(rows)-1].In(topology.InSecretsManager) {
			return "", "", ErrNotSet
		}
		sealed := rows[len(rows)-1]
		var doc document
		if doc, err = d.read(ctx, tenantID, now); err != nil && !errors.Is(err, errMissing) {
			break
		}
		if ciphertext, ok := doc[entry(sealed)]; ok {
			if value, err = unseal(sealed.Key, tenantID, sealed, ciphertext); err == nil {
				return value, sealed.Host, nil
			}
			if bytes.Equal(sealed.Key, spoilt) {
				break
			}
			spoilt = sealed.Key // unless the row and the value are of two changes
		} else if err == nil {
			err = errMissing
		}
		// A change was committed between the two reads, or what was written does not
		// show yet.
		if ended := pause(ctx, try); ended != nil {
			err = ended
			break
		}
	}
	return "", "", fmt.Errorf("open secret %s: %w", name, err)
}

// change carries out one change of a tenant's secrets under a lease: make says
// which rows come and go, and adds what is new to the document.
func (d *Depository) change(ctx context.Context, tenantID string, by table.By, make func([]table.Sealed, document) (table.DepositChange, error)) error {
	ctx, cancel := context.WithTimeout(ctx, maxWaits*maxPause+changeTime)
	defer cancel()
	lease, err := d.lease(ctx, tenantID, by)
	if err != nil {
		return err
	}
	changing, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	then, err := d.changeLeased(changing, tenantID, lease, by, make)
	if err != nil {
		d.endLease(ctx, tenantID, lease)
		return err
	}
	if err := d.sweep(ctx, tenantID, &then); err != nil {
		// It holds nothing that can be opened; the next change deletes it.
		slog.WarnContext(ctx, "delete a tenant's empty secret", "tenant", tenantID, "error", err)
	}
	return nil
}

func (d *Depository) changeLeased(ctx context.Context, tenantID, lease string, by table.By, make func([]table.Sealed, document) (table.DepositChange, error)) (table.Deposit, error) {
	rows, now, err := d.rows.SecretRows(ctx, tenantID)
	if err != nil {
		return now, err
	}
	if err := d.sweep(ctx, tenantID, &now); err != nil {
		return now, err
	}
	old := document{}
	if now.Version != "" {
		if old, err = d.readPatiently(ctx, tenantID, now); err != nil {
			return now, err
		}
	}
	// What no row names is dropped.
	doc := document{}
	for _, r := range rows {
		if ciphertext, ok := old[entry(r)]; ok && r.In(topology.InSecretsManager) {
			doc[entry(r)] = ciphertext
		}
	}
	c, err := make(rows, doc)
	if err != nil {
		return now, err
	}
	for _, r := range c.Delete {
		delete(doc, entry(r))
	}
	c.Deposit = now
	switch {
	case maps.EqualFunc(doc, old, bytes.Equal): // only rows of the other store go
	case len(doc) > 0:
		c.Deposit.Number, c.Deposit.Version = max(now.Number, 1), lease
		err = d.write(ctx, tenantID, now, &c.Deposit, doc)
		if errors.Is(err, ErrTooOften) && c.Put == nil { // the keys go: that forgets too
			c.Deposit, err = now, nil
		}
	default:
		c.Deposit = emptied(now)
	}
	if err != nil {
		return now, err
	}
	err = d.rows.CommitDeposit(ctx, tenantID, lease, c, by)
	if errors.Is(err, table.ErrStale) {
		d.cleanUp(ctx, tenantID, c.Deposit.Number)
	}
	return c.Deposit, outlived(err)
}

// cleanUp deletes the secret of a number that has been given up while the caller,
// who was late, may have made it again.
func (d *Depository) cleanUp(ctx context.Context, tenantID string, number int) {
	_, now, err := d.rows.SecretRows(ctx, tenantID)
	if err == nil && number < now.Number {
		err = d.remove(ctx, tenantID, number)
	}
	if err != nil {
		slog.WarnContext(ctx, "delete a tenant's empty secret", "tenant", tenantID, "error", err)
	}
}

// lease waits for a tenant's lease. Its name is that of the version that a change
// writes.
func (d *Depository) lease(ctx context.Context, tenantID string, by table.By) (string, error) {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	lease := hex.EncodeToString(random[:])
	for try := range maxWaits {
		err := d.rows.LeaseDeposit(ctx, tenantID, lease, d.clock.Now().Add(leaseLife), by)
		if !errors.Is(err, table.ErrLeased) {
			return lease, err
		}
		if err := pause(ctx, try); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%w: others are changing the tenant's secrets", table.ErrConflict)
}

// endLease lets the next caller not wait for the lease's end.
func (d *Depository) endLease(ctx context.Context, tenantID, lease string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if err := d.rows.EndLease(ctx, tenantID, lease); err != nil {
		slog.WarnContext(ctx, "end the lease of a tenant's secrets", "tenant", tenantID, "error", err)
	}
}

// pause waits a little, longer with each try, and ends early with the context.
func pause(ctx context.Context, try int) error {
	select {
	case <-time.After(mathrand.N(min(10*time.Millisecond<<min(try, 10), maxPause))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
