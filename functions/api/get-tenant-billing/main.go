// Get-tenant-billing shows how a tenant stands beside what Stripe says of it.
package main

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/platform"
	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/topology"
)

func main() {
	boot.Main(func(ctx context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		secrets, err := platform.Load(ctx, secretsmanager.NewFromConfig(cfg), env.String(topology.EnvPlatformSecret))
		if err != nil {
			return nil, err
		}
		store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
		h := handler{store: store, clock: clock.System}
		connection, err := stripe.ConnectLater(ctx, env, secrets)
		switch {
		case err == nil:
			h.stripe, h.prices = connection, connection.Prices
		case !errors.Is(err, stripe.ErrNoBilling): // without billing it shows what the table knows
			return nil, err
		}
		return api.Serve(store, api.Route{Method: "GET", Path: "/v1/tenants/{id}/billing", Handler: h.handle})
	})
}
