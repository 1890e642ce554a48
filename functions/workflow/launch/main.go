// Launch makes the next attempt of a run and starts its container.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/fleet"
	"outpost/shared/metric"
	"outpost/shared/platform"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/workflow"
)

func main() {
	boot.Main(func(ctx context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		secrets, err := platform.Load(ctx, secretsmanager.NewFromConfig(cfg), env.String(topology.EnvPlatformSecret))
		if err != nil {
			return nil, err
		}
		h := handler{
			store:    table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System),
			workflow: workflow.NewClient(sfn.NewFromConfig(cfg), env.String(topology.EnvWorkflow)),
			fleet: fleet.NewClient(ecs.NewFromConfig(cfg), fleet.Place{Cluster: env.String(topology.EnvCluster), Family: env.String(topology.EnvTaskFamily),
				Subnets: env.List(topology.EnvSubnets), SecurityGroups: env.List(topology.EnvSecurityGroups)}),
			tickets: secrets.Signer(),
			clock:   clock.System,
			timing:  env.Timing(),
			apiURL:  env.String("OUTPOST_API_URL"),
			spot:    env.Bool("OUTPOST_SPOT"),
			metrics: metric.Default(env.String("OUTPOST_METRICS_NAMESPACE")),
		}
		return h.handle, nil
	})
}
