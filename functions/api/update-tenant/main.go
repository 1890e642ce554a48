// Update-tenant changes a tenant's plan, limits or state.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/eventqueue"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/wakeup"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
		waker := wakeup.NewSender(sqs.NewFromConfig(cfg), env.String(topology.EnvQueue(topology.Wakeups)))
		queue := eventqueue.Sender{SQS: sqs.NewFromConfig(cfg), Queue: env.String(topology.EnvQueue(topology.StripeEvents))}
		h := handler{store, waker, eventqueue.Teller{Store: store, Queue: queue}, clock.System}
		return api.Serve(store, api.Route{Method: "PATCH", Path: "/v1/tenants/{id}", Handler: h.handle})
	})
}
