package checkout

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/billing"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/entitlement"
	"outpost/shared/platform"
	"outpost/shared/stripe"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/wakeup"
)

// Connect makes the desk of a function by its settings, and the table beside it.
// Where there is no billing the desk serves nobody. Keys or prices that do not fit
// are an error, with which the function does not start; while Stripe does not answer
// it starts all the same, and looks at the prices before it sells.
func Connect(ctx context.Context, env *config.Reader, cfg aws.Config) (Desk, *table.Table, error) {
	waker := wakeup.NewSender(sqs.NewFromConfig(cfg), env.String(topology.EnvQueue(topology.Wakeups)))
	d, store, err := ConnectPortal(ctx, env, cfg)
	if err == nil && d.Stripe != nil {
		d.Keeper = entitlement.Keeper{Stripe: d.Stripe.(*stripe.Connection), Store: store, Waker: waker, Prices: d.Prices, Clock: d.Clock}
	}
	return d, store, err
}

// ConnectPortal is Connect for a function that opens the portal alone, which
// changes no plan.
func ConnectPortal(ctx context.Context, env *config.Reader, cfg aws.Config) (Desk, *table.Table, error) {
	store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
	secrets, err := platform.Load(ctx, secretsmanager.NewFromConfig(cfg), env.String(topology.EnvPlatformSecret))
	if err != nil {
		return Desk{}, nil, err
	}
	returns, err := billing.ParseReturns(env.String("OUTPOST_RETURN_URLS"))
	if err != nil {
		return Desk{}, nil, fmt.Errorf("OUTPOST_RETURN_URLS: %w", err)
	}
	d := Desk{Store: store, Returns: returns, Ways: NewWays(env.String("OUTPOST_API_URL"), secrets.ReturnKey()), Clock: clock.System}
	connection, err := stripe.ConnectLater(ctx, env, secrets)
	if errors.Is(err, stripe.ErrNoBilling) {
		return d, store, nil
	}
	if err != nil {
		return Desk{}, nil, err
	}
	d.Stripe, d.Prices = connection, connection.Prices
	return d, store, nil
}
