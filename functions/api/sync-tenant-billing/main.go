// Sync-tenant-billing makes a tenant's plan what Stripe says, when the operator
// asks for it.
package main

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/entitlement"
	"outpost/shared/platform"
	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/wakeup"
)

func main() {
	boot.Main(func(ctx context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		secrets, err := platform.Load(ctx, secretsmanager.NewFromConfig(cfg), env.String(topology.EnvPlatformSecret))
		if err != nil {
			return nil, err
		}
		store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
		waker := wakeup.NewSender(sqs.NewFromConfig(cfg), env.String(topology.EnvQueue(topology.Wakeups)))
		h := handler{store: store}
		connection, err := stripe.ConnectLater(ctx, env, secrets)
		switch {
		case err == nil:
			h.keeper = entitlement.Keeper{Stripe: asked{connection}, Store: store, Waker: waker, Prices: connection.Prices, Clock: clock.System}
		case !errors.Is(err, stripe.ErrNoBilling):
			return nil, err
		}
		return api.Serve(store, api.Route{Method: "POST", Path: "/v1/tenants/{id}/billing/sync", Handler: h.handle})
	})
}
