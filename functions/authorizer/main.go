// The authorizer turns an API key into the caller's context.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/platform"
	"outpost/shared/table"
	"outpost/shared/topology"
)

func main() {
	boot.Main(func(ctx context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		secrets, err := platform.Load(ctx, secretsmanager.NewFromConfig(cfg), env.String(topology.EnvPlatformSecret))
		if err != nil {
			return nil, err
		}
		h := handler{
			store:  table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System),
			hasher: secrets.Hasher(),
			clock:  clock.System,
		}
		return h.handle, nil
	})
}
