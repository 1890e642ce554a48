// Replay-stripe-events puts Stripe's events that were given up back into their
// queue.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/topology"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		h := handler{queues: sqs.NewFromConfig(cfg), dead: env.String(topology.EnvQueue(topology.DeadLetterName(topology.StripeEvents))),
			live: env.String(topology.EnvQueue(topology.StripeEvents)), clock: clock.System}
		return api.Serve(api.NoTenant{}, api.Route{Method: "POST", Path: "/v1/stripe-events/replay", Handler: h.handle})
	})
}
