// The scheduler starts waiting runs, fairly among tenants.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/metric"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/workflow"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		s := scheduler{
			store:    table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System),
			workflow: workflow.NewClient(sfn.NewFromConfig(cfg), env.String(topology.EnvWorkflow)),
			clock:    clock.System,
			lease:    env.Timing().ClaimLease,
			fleetCap: env.Int("OUTPOST_FLEET_CAP"),
			metrics:  metric.Default(env.String("OUTPOST_METRICS_NAMESPACE")),
		}
		return s.handle, nil
	})
}
