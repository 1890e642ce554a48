// Open-checkout opens a page of Stripe's on which a tenant subscribes.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/checkout"
	"outpost/shared/clock"
	"outpost/shared/config"
)

func main() {
	boot.Main(func(ctx context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		desk, store, err := checkout.Connect(ctx, env, cfg)
		if err != nil {
			return nil, err
		}
		return api.Serve(store, api.Route{Method: "POST", Path: "/v1/billing/checkout", Handler: handler{desk, clock.System}.handle})
	})
}
