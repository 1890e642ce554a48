package table

import (
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

func cancelled(codes ...string) error {
	e := &types.TransactionCanceledException{}
	for _, c := range codes {
		reason := types.CancellationReason{Code: &c}
		if c == "nil" {
			reason.Code = nil
		}
		e.CancellationReasons = append(e.CancellationReasons, reason)
	}
	return fmt.Errorf("operation error: %w", e)
}

func TestATransactionsRefusalIsTranslated(t *testing.T) {
	other := errors.New("the network is down")
	for _, c := range []struct {
		why    string
		err    error
		raced  bool
		failed string // which conditions did not hold
	}{
		{"only another transaction was in the way", cancelled("TransactionConflict", "None"), true, ""},
		{"reasons without a code are none", cancelled("nil", "TransactionConflict"), true, ""},
		{"a shortage of throughput passes", cancelled("ThrottlingError", "ProvisionedThroughputExceeded"), true, ""},
		{"a condition that does not hold is told by its place", cancelled("None", "ConditionalCheckFailed"), false, "[false true]"},
		{"a failed condition is an answer, even beside a conflict", cancelled("TransactionConflict", "ConditionalCheckFailed", "None"), false, "[false true false]"},
		{"all that failed are told", cancelled("ConditionalCheckFailed", "ConditionalCheckFailed"), false, "[true true]"},
		{"a wrong request is never repeated", cancelled("ValidationError", "TransactionConflict"), false, ""},
		{"the same token is being worked on", &types.TransactionInProgressException{}, true, ""},
		{"throttled as a whole", &smithy.GenericAPIError{Code: "ThrottlingException"}, true, ""},
		{"the account's limit", &types.RequestLimitExceeded{}, true, ""},
		{"the table's limit", &types.ProvisionedThroughputExceededException{}, true, ""},
		{"another error stays what it is", other, false, ""},
		{"no error", nil, false, ""},
	} {
		got := transacted(c.err)
		if errors.Is(got, errRaced) != c.raced {
			t.Errorf("%s: %v", c.why, got)
		}
		var failed *conditionFailed
		if errors.As(got, &failed) != (c.failed != "") || (failed != nil && fmt.Sprint(failed.failed) != c.failed) {
			t.Errorf("%s: %+v", c.why, failed)
		}
		if !c.raced && c.failed == "" && got != c.err {
			t.Errorf("%s: it became %v", c.why, got)
		}
	}
}

func TestASingleWritesRefusalIsTranslated(t *testing.T) {
	other := errors.New("the network is down")
	for _, c := range []struct {
		why       string
		err, want error
	}{
		{"the condition does not hold", &types.ConditionalCheckFailedException{}, ErrStale},
		{"a transaction is in the way", &types.TransactionConflictException{}, errRaced},
		{"throttled", &smithy.GenericAPIError{Code: "ThrottlingException"}, errRaced},
		{"another error stays what it is", other, other},
		{"no error", nil, nil},
	} {
		if got := written(c.err, ErrStale); !errors.Is(got, c.want) {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
	}
}
