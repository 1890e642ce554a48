package secret

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/shared/config"
	"outpost/shared/table"
	"outpost/shared/topology"
)

// Connect returns the Store that the environment names, for who puts or opens
// secrets.
func Connect(env *config.Reader, cfg aws.Config, rows *table.Table) Store {
	if env.SecretStore() == topology.InSecretsManager {
		return depository(env, cfg, rows)
	}
	return NewVault(kms.NewFromConfig(cfg), env.String(topology.EnvKey), rows)
}

// ConnectForgetter returns that part of the Store which opens nothing, and needs
// no key for it.
func ConnectForgetter(env *config.Reader, cfg aws.Config, rows *table.Table) Forgetter {
	if env.SecretStore() == topology.InSecretsManager {
		return depository(env, cfg, rows)
	}
	return NewVault(nil, "", rows)
}

func depository(env *config.Reader, cfg aws.Config, rows *table.Table) *Depository {
	return NewDepository(secretsmanager.NewFromConfig(cfg), env.String(topology.EnvTenantSecrets), rows)
}
