// Reconcile compares every paying tenant with Stripe, hour by hour: what webhooks
// have not told, and what only time has changed.
package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/entitlement"
	"outpost/shared/metric"
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
		client, prices, err := stripe.Connect(ctx, env, secrets)
		store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
		waker := wakeup.NewSender(sqs.NewFromConfig(cfg), env.String(topology.EnvQueue(topology.Wakeups)))
		metrics := metric.Default(env.String("OUTPOST_METRICS_NAMESPACE"))
		if errors.Is(err, stripe.ErrNoBilling) {
			return func(ctx context.Context) error {
				slog.InfoContext(ctx, "nothing to do", "why", err.Error())
				return nil
			}, nil
		}
		if err != nil {
			return nil, err
		}
		keeper := entitlement.Keeper{Stripe: client, Store: store, Waker: waker, Prices: prices, Clock: clock.System}
		return reconciler{store, client, keeper, metrics, clock.System}.handle, nil
	})
}
