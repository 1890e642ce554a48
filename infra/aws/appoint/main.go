// Command appoint makes a new key the operator's of a deployment, and prints it
// this once. The key before it opens nothing from then on, as far as functions
// have started anew or within their cached minutes.
//
//	go run ./infra/aws/appoint -env dev
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/shared/apikey"
	"outpost/shared/platform"
)

func main() {
	if err := run(context.Background(), os.Args[1:], config.LoadDefaultConfig, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "appoint:", err)
		os.Exit(1)
	}
}

// loader is config.LoadDefaultConfig.
type loader func(ctx context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error)

func run(ctx context.Context, args []string, load loader, out io.Writer) error {
	flags := flag.NewFlagSet("appoint", flag.ContinueOnError)
	env := flags.String("env", "", "environment: dev, staging or prod")
	region := flags.String("region", "", "its region, where the configuration of AWS does not say it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *env == "" {
		return fmt.Errorf("say which environment: -env dev")
	}
	var options []func(*config.LoadOptions) error
	if *region != "" {
		options = append(options, config.WithRegion(*region))
	}
	cfg, err := load(ctx, options...)
	if err != nil {
		return fmt.Errorf("the AWS configuration cannot be read: %w", err)
	}
	key, err := apikey.New(apikey.Live)
	if err != nil {
		return err
	}
	if _, err := platform.Appoint(ctx, secretsmanager.NewFromConfig(cfg), "outpost-"+*env+"/platform", key); err != nil {
		return err
	}
	fmt.Fprintln(out, key)
	return nil
}
