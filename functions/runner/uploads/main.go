// Uploads hands out upload URLs for a run's artifacts.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/shared/api"
	"outpost/shared/artifact"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/table"
	"outpost/shared/topology"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		h := handler{
			store:     table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System),
			artifacts: artifact.New(cfg, env.String(topology.EnvBucket)),
		}
		return api.Serve(nil, api.Route{Method: "POST", Path: "/runner/v1/uploads", Handler: h.handle})
	})
}
