// Check-secret asks a provider or a git host whether a secret works.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/egress"
	"outpost/shared/secret"
	"outpost/shared/table"
	"outpost/shared/topology"
)

// patience leaves the rest of the function's 29 s for the table and for KMS.
const patience = 15 * time.Second

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		store := table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System)
		h := handler{
			store: store,
			vault: secret.Connect(env, cfg, store),
			clock: clock.System,
			repositories: api.Repositories{Schemes: env.List("OUTPOST_REPO_SCHEMES"),
				Reach: egress.Policy{Also: env.Prefixes("OUTPOST_PRIVATE_ADDRESSES")}},
			providerURLs: env.Pairs("OUTPOST_PROVIDER_URLS"),
			patience:     patience,
		}
		return api.Serve(store, api.Route{Method: "POST", Path: "/v1/secrets/{name}/check", Handler: h.handle})
	})
}
