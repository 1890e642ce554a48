// Create-task admits a task.
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
	"outpost/shared/egress"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/wakeup"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
		h := handler{
			store: store,
			waker: wakeup.NewSender(sqs.NewFromConfig(cfg), env.String(topology.EnvQueue(topology.Wakeups))),
			clock: clock.System,
			repositories: api.Repositories{Schemes: env.List("OUTPOST_REPO_SCHEMES"),
				Reach: egress.Policy{Also: env.Prefixes("OUTPOST_PRIVATE_ADDRESSES")}},
			keys: env.SecretStore(),
		}
		return api.Serve(store, api.Route{Method: "POST", Path: "/v1/tasks", Handler: h.handle})
	})
}
