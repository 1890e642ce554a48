// Package awsclient loads the AWS configuration that every function's clients
// are built from. Endpoints, region, credentials and the application's name
// come from the environment, as the SDK defines them (AWS_ENDPOINT_URL_…,
// AWS_SDK_UA_APP_ID), so there is no code for one place or another.
package awsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
)

// maxTries bounds how often a request is sent.
const maxTries = 4

// Load returns the configuration, with NewRetryer for every client.
func Load(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRetryer(NewRetryer))
	if err != nil {
		return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return cfg, nil
}

// NewRetryer returns the SDK's standard retryer, which also tries again when an
// answer breaks off while it is read: the SDK takes that for a malformed
// answer. Every call that Outpost makes may be repeated.
func NewRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxTries
		o.Retryables = append(o.Retryables, brokenOff)
	})
}

// RetryBrokenAnswers returns a retryer that tries again when an answer breaks
// off, and for no other reason: for tests that are to see every other error.
func RetryBrokenAnswers() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxTries
		o.Retryables = []retry.IsErrorRetryable{brokenOff}
	})
}

var brokenOff = retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
	return aws.BoolTernary(errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF))
})
