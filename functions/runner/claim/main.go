// Claim binds an attempt to the worker that asks first, and tells it all that
// it needs.
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
	"outpost/shared/secret"
	"outpost/shared/table"
	"outpost/shared/topology"
)

func main() {
	boot.Main(func(ctx context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		secrets, err := platform.Load(ctx, secretsmanager.NewFromConfig(cfg), env.String(topology.EnvPlatformSecret))
		if err != nil {
			return nil, err
		}
		store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
		h := handler{
			store:        store,
			vault:        secret.Connect(env, cfg, store),
			signer:       secrets.Signer(),
			clock:        clock.System,
			timing:       env.Timing(),
			schemes:      env.List("OUTPOST_REPO_SCHEMES"),
			private:      env.Prefixes("OUTPOST_PRIVATE_ADDRESSES"),
			providerURLs: env.Pairs("OUTPOST_PROVIDER_URLS"),
		}
		return api.Serve(nil, api.Route{Method: "POST", Path: "/runner/v1/claim", Handler: h.handle})
	})
}
