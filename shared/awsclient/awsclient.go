// Package awsclient loads the AWS configuration that every function's clients
// are built from. Endpoints, region, credentials and the application's name
// come from the environment, as the SDK defines them (AWS_ENDPOINT_URL_…,
// AWS_SDK_UA_APP_ID), so there is no code for one place or another.
package awsclient

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Load returns the configuration. A request is tried at most 4 times.
func Load(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(4))
	if err != nil {
		return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return cfg, nil
}
