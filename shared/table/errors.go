package table

import (
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/guregu/dynamo/v2"
)

// Errors of the store. Callers test them with errors.Is and errors.As.
var (
	ErrNotFound   = errors.New("not found")                    // nothing there, or another tenant's
	ErrExists     = errors.New("exists already")               // of Create… and Put…
	ErrConflict   = errors.New("too many concurrent changes")  // every try lost its race; worth trying later
	ErrStale      = errors.New("no longer the current state")  // the thing has moved on: look again or give up
	ErrCancelled  = errors.New("a cancel was requested")       // of Claim and BeginAttempt
	ErrNonceBound = errors.New("bound to another nonce")       // of Claim
	ErrLeased     = errors.New("somebody else is changing it") // of LeaseDeposit

	ErrRateLimited = errors.New("too many requests this minute") // of CountRequest

	ErrTooManyKeys = errors.New("the tenant has as many keys as it can")

	ErrAlive  = errors.New("a run of the tenant has not ended")       // of MarkQuiet and BeginRemoval
	ErrBilled = errors.New("money may still be taken through Stripe") // of BeginRemoval

	ErrKeyRevoked          = errors.New("the API key is revoked or expired")     // or its tenant closed; of Admit and of what By does
	ErrTenantInactive      = errors.New("the tenant is not active")              // of Admit
	ErrLimitsChanged       = errors.New("the tenant's limits changed meanwhile") // of Admit
	ErrIdempotencyMismatch = errors.New("the idempotency key was used with another body")
)

// QuotaError says that a day's quota of runs does not allow a submission.
type QuotaError struct {
	Limit, Used, Wanted int
	ResetsAt            time.Time
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("%d runs wanted, %d of %d used today", e.Wanted, e.Used, e.Limit)
}

// Replay is returned, as an error, for a submission whose idempotency key was
// used before with the same body: the first answer, to be sent again.
type Replay struct {
	Status int
	Body   []byte
}

func (*Replay) Error() string { return "answered before" }

// errRaced means that another writer came first and the change is to be tried
// on what it left.
var errRaced = errors.New("raced")

// errUnchanged ends a change that finds its work done.
var errUnchanged = errors.New("unchanged")

// read translates the error of a read.
func read(err error) error {
	if errors.Is(err, dynamo.ErrNotFound) {
		return ErrNotFound
	}
	return err
}

// conditionFailed is the error of a transaction of which some conditions did
// not hold; failed tells which, in the order of the transaction.
type conditionFailed struct{ failed []bool }

func (*conditionFailed) Error() string { return "a condition does not hold" }

// transacted translates the error of a transaction: *conditionFailed when
// conditions did not hold, errRaced when only other transactions were in the
// way.
func transacted(err error) error {
	var cancelled *types.TransactionCanceledException
	var inProgress *types.TransactionInProgressException
	var conflict *types.TransactionConflictException
	switch {
	case errors.As(err, &cancelled):
		c := &conditionFailed{failed: make([]bool, len(cancelled.CancellationReasons))}
		refused, transient := false, true
		for i, r := range cancelled.CancellationReasons {
			code := ""
			if r.Code != nil {
				code = *r.Code
			}
			switch code {
			case "ConditionalCheckFailed":
				c.failed[i], refused = true, true
			case "", "None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
			default:
				transient = false
			}
		}
		if refused {
			return c
		}
		if transient {
			return errRaced
		}
	case errors.As(err, &inProgress), errors.As(err, &conflict), throttled(err):
		return errRaced
	}
	return err
}

// throttled tells whether DynamoDB refused a request for the lack of
// throughput, after the client's own tries.
func throttled(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode() {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded":
		return true
	}
	return false
}

// written translates the error of one conditional write.
func written(err error, onCondition error) error {
	var conflict *types.TransactionConflictException
	switch {
	case err == nil:
		return nil
	case errors.As(err, &conflict), throttled(err):
		return errRaced
	case dynamo.IsCondCheckFailed(err):
		return onCondition
	}
	return err
}
