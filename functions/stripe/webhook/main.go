// Webhook takes Stripe's events: it believes those that Stripe has signed, puts
// them into a queue, and answers.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/eventqueue"
	"outpost/shared/platform"
	"outpost/shared/stripe"
	"outpost/shared/topology"
)

func main() {
	boot.Main(func(ctx context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		h := handler{queue: eventqueue.Sender{SQS: sqs.NewFromConfig(cfg), Queue: env.String(topology.EnvQueue(topology.StripeEvents))}, clock: clock.System}
		if env.String("OUTPOST_STRIPE_PRICES") != "" { // else there is no billing, and no event is taken
			secrets, err := platform.Load(ctx, secretsmanager.NewFromConfig(cfg), env.String(topology.EnvPlatformSecret))
			if err != nil {
				return nil, err
			}
			if h.keys, err = secrets.Stripe(); err != nil {
				return nil, err
			}
			if _, err := stripe.New(stripe.Options{Keys: h.keys, Live: env.Bool("OUTPOST_STRIPE_LIVE")}); err != nil {
				return nil, err
			}
		}
		return api.Serve(nil, api.Route{Method: "POST", Path: "/webhooks/stripe", Handler: h.handle})
	})
}
