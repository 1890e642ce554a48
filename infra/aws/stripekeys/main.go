// Command stripekeys puts Stripe's key and the webhook's secret into the platform
// secret of a deployment. It takes them from STRIPE_SECRET_KEY and
// STRIPE_WEBHOOK_SECRET, never from the command line; one that is not set stays as
// it was, so that each can be rolled by itself. It never shows either.
//
//	go run ./infra/aws/stripekeys -env dev
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/shared/platform"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Getenv, config.LoadDefaultConfig, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "stripekeys:", err)
		os.Exit(1)
	}
}

// loader is config.LoadDefaultConfig.
type loader func(ctx context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error)

func run(ctx context.Context, args []string, getenv func(string) string, load loader, out io.Writer) error {
	flags := flag.NewFlagSet("stripekeys", flag.ContinueOnError)
	env := flags.String("env", "", "environment: dev, staging or prod")
	settings := flags.String("cdk-json", "cdk.json", "where cdk.json is, which says whether the environment's money is real")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *env == "" {
		return errors.New("say which environment: -env dev")
	}
	e, err := environment(*settings, *env)
	if err != nil {
		return err
	}
	given := platform.Stripe{Key: getenv("STRIPE_SECRET_KEY"), WebhookSecret: getenv("STRIPE_WEBHOOK_SECRET")}
	if given == (platform.Stripe{}) {
		return errors.New("set STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET (outpost admin billing setup tells it), or both")
	}
	var options []func(*config.LoadOptions) error
	if e.Region != "" {
		options = append(options, config.WithRegion(e.Region))
	}
	cfg, err := load(ctx, options...)
	if err != nil {
		return fmt.Errorf("the AWS configuration cannot be read: %w", err)
	}
	client, name := secretsmanager.NewFromConfig(cfg), "outpost-"+*env+"/platform"
	secrets, err := platform.Load(ctx, client, name)
	if err != nil {
		return err
	}
	was, _ := secrets.Stripe() // maybe nothing yet: SetStripe checks what comes of it
	now := platform.Stripe{Key: cmp.Or(given.Key, was.Key), WebhookSecret: cmp.Or(given.WebhookSecret, was.WebhookSecret)}
	if err := now.Check(); err != nil {
		return err
	}
	if now.Live() != e.StripeLive {
		return fmt.Errorf("stripe_live of %s is %t, and the key of Stripe is live: %t", *env, e.StripeLive, now.Live())
	}
	if err := platform.SetStripe(ctx, client, name, now); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s has Stripe's key and the webhook's secret (live: %t). Functions read them at their next start.\n", name, now.Live())
	return nil
}

// settings are those of an environment that matter here.
type settings struct {
	Region     string `json:"region"`
	StripeLive bool   `json:"stripe_live"`
}

func environment(path, name string) (settings, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return settings{}, fmt.Errorf("read the settings: %w", err)
	}
	var file struct {
		Context struct{ Environments map[string]settings }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return settings{}, fmt.Errorf("%s is not JSON: %w", path, err)
	}
	e, ok := file.Context.Environments[name]
	if !ok {
		return settings{}, fmt.Errorf("%s has no environment %q", path, name)
	}
	return e, nil
}
