// Export writes each tenant's audit events of each UTC day to the bucket, with a
// manifest that is chained to the one before.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/shared/artifact"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/table"
	"outpost/shared/topology"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		e := exporter{
			store:   table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System),
			objects: artifact.New(cfg, env.String(topology.EnvBucket)),
			clock:   clock.System,
		}
		return e.handle, nil
	})
}
