// Delete-secret forgets a secret of the tenant.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/shared/api"
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
		h := handler{secret.ConnectForgetter(env, cfg, store), clock.System}
		return api.Serve(store, api.Route{Method: "DELETE", Path: "/v1/secrets/{name}", Handler: h.handle})
	})
}
