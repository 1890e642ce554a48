// Settle is the only place where a run that started ends.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/metric"
	"outpost/shared/settlement"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/wakeup"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		h := handler{
			settler: settlement.Settler{
				Store:  table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System),
				Clock:  clock.System,
				Timing: env.Timing(),
			},
			waker:   wakeup.NewSender(sqs.NewFromConfig(cfg), env.String(topology.EnvQueue(topology.Wakeups))),
			metrics: metric.Default(env.String("OUTPOST_METRICS_NAMESPACE")),
			clock:   clock.System,
		}
		return h.handle, nil
	})
}
