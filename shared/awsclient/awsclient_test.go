package awsclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"outpost/shared/awsclient"
)

func TestTheEnvironmentSaysWhereAndInWhoseName(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_SDK_UA_APP_ID", "scheduler")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	cfg, err := awsclient.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Region != "eu-central-1" || cfg.AppID != "scheduler" || cfg.BaseEndpoint == nil || *cfg.BaseEndpoint != "http://127.0.0.1:1" {
		t.Errorf("region %q, application %q, endpoint %v", cfg.Region, cfg.AppID, cfg.BaseEndpoint)
	}
	if cfg.Retryer().MaxAttempts() != 4 {
		t.Errorf("%d tries a request", cfg.Retryer().MaxAttempts())
	}
}

func TestABrokenEnvironmentIsAnError(t *testing.T) {
	t.Setenv("AWS_RETRY_MODE", "for ever")
	if _, err := awsclient.Load(context.Background()); err == nil {
		t.Error("the function starts with a retry mode that does not exist")
	}
}

func TestAnAnswerThatBreaksOffIsAskedForAgain(t *testing.T) {
	r := awsclient.NewRetryer()
	for _, err := range []error{net.ErrClosed, io.ErrUnexpectedEOF} {
		broken := fmt.Errorf("deserialization failed: %w", &net.OpError{Op: "read", Net: "tcp", Err: err})
		if !r.IsErrorRetryable(broken) {
			t.Errorf("%v is not tried again", broken)
		}
	}
	if r.IsErrorRetryable(errors.New("a condition does not hold")) {
		t.Error("any error is tried again")
	}
}
