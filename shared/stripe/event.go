package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	sdk "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"outpost/shared/platform"
)

// Event is what Outpost believes of one of Stripe's events: that it happened, and
// to whom. What it says of the customer may be old, and is not read.
type Event struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Customer string `json:"customer"` // empty for an event that is about none
	// At is when it happened, of one that Undelivered has listed.
	At time.Time `json:"-"`
}

// Tolerance is how far the time of a signature may be from now, in both
// directions: Stripe's own bound for old ones.
const Tolerance = 5 * time.Minute

// Errors of an event that is not accepted.
var (
	ErrSignature = errors.New("the signature is not Stripe's, or not of now")
	ErrForeign   = errors.New("the event is not meant for this Outpost")
)

// ReadEvent reads a webhook's body, as it came, by its Stripe-Signature header. It
// returns ErrSignature, and ErrForeign for an event of another API version, which
// would be misread, of test or live mode where this is the other, or of an account
// that is connected to ours.
func ReadEvent(body []byte, signature string, keys platform.Stripe, now time.Time) (Event, error) {
	if err := keys.Check(); err != nil { // an empty secret would accept everything
		return Event{}, err
	}
	e, err := webhook.ConstructEventWithOptions(body, signature, keys.WebhookSecret, webhook.ConstructEventOptions{IgnoreTolerance: true, IgnoreAPIVersionMismatch: true})
	if err != nil {
		return Event{}, ErrSignature
	}
	if signed, ok := signedAt(signature); !ok || now.Sub(signed).Abs() > Tolerance {
		return Event{}, ErrSignature
	}
	switch {
	case e.ID == "" || e.Data == nil:
		return Event{}, fmt.Errorf("%w: it has no id or no data", ErrForeign)
	case e.APIVersion != sdk.APIVersion:
		return Event{}, fmt.Errorf("%w: %s is of API version %q, not %s", ErrForeign, e.ID, e.APIVersion, sdk.APIVersion)
	case e.Livemode != keys.Live():
		return Event{}, fmt.Errorf("%w: %s has livemode %t", ErrForeign, e.ID, e.Livemode)
	case e.Account != "":
		return Event{}, fmt.Errorf("%w: %s is of a connected account", ErrForeign, e.ID)
	}
	return about(&e), nil
}

// signedAt is the time of a signature, which the signature covers.
func signedAt(header string) (at time.Time, ok bool) {
	for pair := range strings.SplitSeq(header, ",") {
		if text, found := strings.CutPrefix(pair, "t="); found {
			unix, err := strconv.ParseInt(text, 10, 64)
			at, ok = time.Unix(unix, 0), err == nil
		}
	}
	return at, ok
}

// about finds whom an event is about.
func about(e *sdk.Event) Event {
	out := Event{ID: e.ID, Type: string(e.Type)}
	if e.Data == nil {
		return out
	}
	var object struct {
		Object, ID string
		Customer   json.RawMessage
	}
	if json.Unmarshal(e.Data.Raw, &object) != nil {
		return out
	}
	if object.Object == "customer" {
		out.Customer = object.ID
		return out
	}
	var expanded struct{ ID string }
	if json.Unmarshal(object.Customer, &out.Customer) != nil && json.Unmarshal(object.Customer, &expanded) == nil {
		out.Customer = expanded.ID
	}
	return out
}

// undelivered bounds how many events Undelivered returns.
const undelivered = 1000

// Undelivered returns the events since a time that Stripe could not deliver to
// every endpoint yet, newest first, at most 1,000.
func (c *Client) Undelivered(ctx context.Context, since time.Time) ([]Event, error) {
	p := &sdk.EventListParams{DeliverySuccess: sdk.Bool(false), CreatedRange: &sdk.RangeQueryParams{GreaterThanOrEqual: since.Unix()}, Types: sdk.StringSlice(Events)}
	p.Context = ctx
	p.Limit = sdk.Int64(100)
	var out []Event
	it := c.api.Events.List(p)
	for it.Next() && len(out) < undelivered {
		e := about(it.Event())
		e.At = at(it.Event().Created)
		out = append(out, e)
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("list the undelivered events: %w", err)
	}
	return out, nil
}
