// Container-stopped hears from ECS that a container has ended.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/workflow"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		h := handler{
			store:    table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System),
			workflow: workflow.NewClient(sfn.NewFromConfig(cfg), env.String(topology.EnvWorkflow)),
			clock:    clock.System,
		}
		return h.handle, nil
	})
}
