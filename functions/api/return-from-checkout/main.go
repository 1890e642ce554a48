// Return-from-checkout takes back who has paid on Stripe's page, and looks at what
// was paid.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/checkout"
	"outpost/shared/config"
)

func main() {
	boot.Main(func(ctx context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		desk, _, err := checkout.Connect(ctx, env, cfg)
		if err != nil {
			return nil, err
		}
		return api.Serve(nil, api.Route{Method: "GET", Path: checkout.ReturnPath, Handler: handler{desk}.handle})
	})
}
