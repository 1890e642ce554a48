// Package boot is what every Lambda function's main does: read the environment,
// load the AWS configuration, build the handler once, serve.
package boot

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"outpost/shared/awsclient"
	"outpost/shared/config"
)

// Build makes a function's handler from its environment. What is wrong with
// the environment is collected by the reader.
type Build func(ctx context.Context, env *config.Reader, cfg aws.Config) (handler any, err error)

// Main builds the handler and serves it; it does not return. A function that
// cannot start says why in one line and exits with 1.
func Main(build Build) {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	ctx := context.Background()
	cfg, err := awsclient.Load(ctx)
	if err != nil {
		fail(err)
	}
	env := config.New(os.LookupEnv)
	handler, err := build(ctx, env, cfg)
	if wrong := env.Err(); wrong != nil {
		err = wrong
	}
	if err != nil {
		fail(err)
	}
	lambda.Start(handler)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "this function cannot start:", err)
	os.Exit(1)
}
