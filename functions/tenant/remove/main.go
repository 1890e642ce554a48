// Remove looks after closed tenants: it ends their runs, and removes their data when
// their time has come.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/shared/artifact"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/secret"
	"outpost/shared/table"
	"outpost/shared/topology"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
		r := remover{store: store, secrets: secret.ConnectForgetter(env, cfg, store), objects: artifact.New(cfg, env.String(topology.EnvBucket)), clock: clock.System}
		return r.handle, nil
	})
}
