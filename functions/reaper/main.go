// The reaper, each minute, heals what a lost message or a crash left behind.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/fleet"
	"outpost/shared/metric"
	"outpost/shared/settlement"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/wakeup"
	"outpost/shared/workflow"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
		timing := env.Timing()
		r := reaper{
			store:    store,
			workflow: workflow.NewClient(sfn.NewFromConfig(cfg), env.String(topology.EnvWorkflow)),
			fleet:    fleet.NewClient(ecs.NewFromConfig(cfg), fleet.Place{Cluster: env.String(topology.EnvCluster)}),
			waker:    wakeup.NewSender(sqs.NewFromConfig(cfg), env.String(topology.EnvQueue(topology.Wakeups))),
			settler:  settlement.Settler{Store: store, Clock: clock.System, Timing: timing},
			clock:    clock.System,
			timing:   timing,
			metrics:  metric.Default(env.String("OUTPOST_METRICS_NAMESPACE")),
		}
		return r.handle, nil
	})
}
