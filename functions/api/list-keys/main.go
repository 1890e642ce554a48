// List-keys lists the tenant's API keys.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/platform"
	"outpost/shared/table"
	"outpost/shared/topology"
)

func main() {
	boot.Main(func(ctx context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
		secrets, err := platform.Load(ctx, secretsmanager.NewFromConfig(cfg), env.String(topology.EnvPlatformSecret))
		if err != nil {
			return nil, err
		}
		h := handler{store, api.NewCursors(secrets.CursorKey()), clock.System}
		return api.Serve(store, api.Route{Method: "GET", Path: "/v1/keys", Handler: h.handle})
	})
}
