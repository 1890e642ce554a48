package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/infra/local/durable"
	"outpost/infra/local/recorder"
	secrets "outpost/infra/local/secretsmanager"
	"outpost/shared/agent"
	"outpost/shared/apikey"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/platform"
	"outpost/shared/secret"
	"outpost/shared/table"
	"outpost/shared/tenant"
	"outpost/shared/topology"
)

// Demo is the tenant that the local target starts with, on the pro plan with
// every scope, and the operator's key.
type Demo struct {
	Tenant, APIKey, OperatorKey string
}

// seed makes the demo tenant, once, sets its secrets to what they should be
// now, and writes the environment file. It may be repeated after a crash.
func (c *cloud) seed(ctx context.Context, o Options) (Demo, error) {
	var d Demo
	kept := filepath.Join(o.Dir, "demo.json")
	if err := durable.Read(kept, &d); err != nil {
		return d, err
	}
	now := clock.System.Now()
	if d.Tenant == "" {
		key, err := apikey.New(apikey.Live)
		if err != nil {
			return d, err
		}
		operator, err := apikey.New(apikey.Live)
		if err != nil {
			return d, err
		}
		d = Demo{Tenant: id.New(id.Tenant, now), APIKey: key, OperatorKey: operator}
		if err := durable.Write(kept, d); err != nil {
			return d, err
		}
	}
	sec, err := platform.Appoint(ctx, secretsmanager.NewFromConfig(c.cfg), secrets.ARN(platformSecret), d.OperatorKey)
	if err != nil {
		return d, err
	}
	store := table.New(dynamodb.NewFromConfig(c.cfg), tableName, clock.System)
	e := tenant.Entitlement{Plan: cmp.Or(o.Plan, "pro"), State: tenant.Active, Version: 1}
	key := table.Key{ID: id.New(id.Key, now), Hash: sec.Hasher().Hash(d.APIKey), Name: "demo", Display: apikey.Display(d.APIKey),
		Scopes: tenant.Scopes, State: table.KeyActive, CreatedAt: now}
	err = store.CreateTenant(ctx, tenant.Tenant{ID: d.Tenant, Name: "demo", Email: "demo@example.com", Entitlement: e, CreatedAt: now}, key,
		table.By{Audit: audit.Event{ID: id.New(id.Audit, now), At: now, Action: "tenant.create", Actor: "local", Target: d.Tenant}})
	if err != nil && !errors.Is(err, table.ErrExists) {
		return d, err
	}
	var vault secret.Store = secret.NewVault(awskms.NewFromConfig(c.cfg), keyARN, store)
	if o.secretStore() == topology.InSecretsManager {
		vault = secret.NewDepository(secretsmanager.NewFromConfig(c.cfg), recorder.TenantSecrets, store)
	}
	for name, value := range o.Secrets {
		old, _, err := vault.Open(ctx, d.Tenant, name)
		if err != nil && !errors.Is(err, secret.ErrNotSet) {
			return d, err
		}
		if old != value {
			if err := vault.Put(ctx, d.Tenant, name, value, "", table.By{Audit: audit.Event{
				ID: id.New(id.Audit, now), At: now, Action: "secret.put", Actor: "local", Target: name}}); err != nil {
				return d, err
			}
		}
	}
	return d, nil
}

// WriteEnv writes the addresses, the demo tenant's keys and the secret of Stripe's
// webhooks into local.env in the
// data folder, for its owner alone, and returns the file's path.
func (s *Stack) WriteEnv() (path string, err error) {
	path = filepath.Join(s.dir, "local.env")
	body := fmt.Sprintf("OUTPOST_URL=%s\nOUTPOST_API_KEY=%s\nOUTPOST_OPERATOR_KEY=%s\nSTRIPE_API_BASE=%s\nSTRIPE_WEBHOOK_SECRET=%s\n",
		s.URL, s.Demo.APIKey, s.Demo.OperatorKey, s.Stripe.Base, s.Stripe.WebhookSecret)
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		return "", fmt.Errorf("write the environment file: %w", err)
	}
	return path, nil
}

// Secrets are the demo tenant's provider keys: the environment's own when the
// real providers answer, invented ones else.
func Secrets(live bool, env func(string) string) map[string]string {
	out := map[string]string{}
	for _, p := range agent.Providers() {
		if !live {
			out[p.Secret] = "scripted-" + p.Name + "-key"
		} else if v := env(p.Secret); v != "" {
			out[p.Secret] = v
		}
	}
	return out
}
