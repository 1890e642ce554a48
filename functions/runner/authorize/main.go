// Authorize checks a worker's ticket or run token.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/platform"
	"outpost/shared/topology"
)

func main() {
	boot.Main(func(ctx context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		secrets, err := platform.Load(ctx, secretsmanager.NewFromConfig(cfg), env.String(topology.EnvPlatformSecret))
		if err != nil {
			return nil, err
		}
		h := handler{signer: secrets.Signer(), clock: clock.System}
		return h.handle, nil
	})
}
