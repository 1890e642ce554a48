package stripe

import (
	"context"
	"errors"
	"fmt"
	"time"

	sdk "github.com/stripe/stripe-go/v76"
)

// Stripe keeps the answer to a key for a day, a failure too. Such a key is spent:
// nothing more comes of it, and the next one is taken in its place, the same with a
// number. What keeps one customer and one session is the order: a key is used only
// when the one before it is known to hold a failure, and after a look at whether
// something was made all the same. So all callers come by the same keys, and stop
// at the first that makes something.

// spares is how many keys are tried. One is spent by each call whose first answer
// is a failure, which ends the call: an outage spends no more than is clicked.
const spares = 50

// errSpent means that a key was spent, and that what there is must be looked at
// again.
var errSpent = errors.New("an earlier failure is kept")

// replayed tells whether a failure is an earlier one that Stripe keeps. A first one
// says nothing about whether it is kept.
func replayed(err error) bool {
	var e *sdk.Error
	return errors.As(err, &e) && e.LastResponse != nil && e.LastResponse.Header.Get("Idempotent-Replayed") == "true"
}

// numbered is a key after some that are spent.
func numbered(key string, spent int) string {
	if spent == 0 {
		return key
	}
	return fmt.Sprintf("%s-%d", key, spent)
}

// customer makes the customer, or finds the one that was made by a call that
// failed.
func (c *Client) customer(ctx context.Context, tenant string, deleted int) (id string, err error) {
	for spent := range spares {
		p := &sdk.CustomerParams{Metadata: map[string]string{"tenant": tenant}}
		p.Context = ctx
		p.SetIdempotencyKey(numbered(fmt.Sprintf("customer-%s-%d", tenant, deleted), spent))
		made, err := c.api.Customers.New(p)
		if err == nil {
			return made.ID, nil
		}
		if !replayed(err) {
			return "", err
		}
		if id, err := c.failedInto(ctx, tenant); err != nil || id != "" {
			return id, err
		}
	}
	return "", errSpent
}

// failedInto finds a tenant's customer among those of the time for which Stripe
// may keep a key; the oldest, so that all find the same. A search by metadata is
// behind by a minute, or an hour, and would miss it.
func (c *Client) failedInto(ctx context.Context, tenant string) (id string, err error) {
	since := c.clock.Now().Add(-48 * time.Hour)
	list := &sdk.CustomerListParams{CreatedRange: &sdk.RangeQueryParams{GreaterThanOrEqual: since.Unix()}}
	list.Context = ctx
	list.Limit = sdk.Int64(100)
	it := c.api.Customers.List(list)
	for it.Next() { // newest first
		if cus := it.Customer(); cus.Metadata["tenant"] == tenant {
			id = cus.ID
		}
	}
	return id, it.Err()
}

// turn is what the key of a customer's next session follows from.
type turn struct {
	latest string // the latest session that there is
	spent  int    // how many of its keys are
	taken  bool   // somebody has the key for another wish, and nothing was seen of it
}

// follow begins anew after another session.
func (t *turn) follow(latest string) {
	if t.latest != latest {
		*t = turn{latest: latest}
	}
}

func (t *turn) key(customer string) string {
	return numbered("checkout-"+customer+"-"+t.latest, t.spent)
}

func (t *turn) spend() error {
	t.spent, t.taken = t.spent+1, false
	if t.spent == spares {
		return errors.New("open a Checkout session: Stripe keeps too many failures")
	}
	return errSpent
}

const (
	// longest is more than a call of Stripe's takes, and than clocks differ.
	longest = 2 * time.Minute
	// noted is how long a note counts: a key that Stripe has forgotten may be
	// taken anew.
	noted = 12 * time.Hour
)

// waits is the customer's metadata that says which key is taken while no session
// comes of it: its latest session, its number, and since when in Unix seconds.
const waits = "checkout_waits"

// taken is for a key that somebody else has used, for another wish. Most often its
// session is there at the next look. Where it is not, either it is still being made,
// or the key is spent; who had it could tell by asking again, others cannot. So the
// time is noted with the customer, and the key counts as spent once that is longer
// ago than any call can take.
func (c *Client) taken(ctx context.Context, customer string, t *turn) error {
	if !t.taken {
		t.taken = true
		return errAgain
	}
	get := &sdk.CustomerParams{}
	get.Context = ctx
	got, err := c.api.Customers.Get(customer, get)
	if err != nil {
		return fmt.Errorf("read the customer: %w", err)
	}
	var latest string
	var number, since int64
	_, err = fmt.Sscan(got.Metadata[waits], &latest, &number, &since)
	age := c.clock.Now().Sub(time.Unix(since, 0))
	switch counts := err == nil && latest == t.latest && number >= int64(t.spent) && age < noted; {
	case counts && (number > int64(t.spent) || age >= longest):
		return t.spend()
	case !counts:
		note := &sdk.CustomerParams{Metadata: map[string]string{waits: fmt.Sprintf("%s %d %d", t.latest, t.spent, c.clock.Now().Unix())}}
		note.Context = ctx
		if _, err := c.api.Customers.Update(customer, note); err != nil {
			return fmt.Errorf("note which Checkout session is waited for: %w", err)
		}
	}
	return errors.New("open a Checkout session: another one is being made")
}
