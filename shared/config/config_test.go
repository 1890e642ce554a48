package config_test

import (
	"strings"
	"testing"
	"time"

	"outpost/shared/config"
	"outpost/shared/task"
	"outpost/shared/topology"
)

func TestDefaultsComeFromTheTopology(t *testing.T) {
	r := config.New(config.Map(nil))
	if got := r.Timing(); got != task.DefaultTiming {
		t.Errorf("timing without an environment is %+v", got)
	}
	if got := r.List("OUTPOST_REPO_SCHEMES"); len(got) != 1 || got[0] != "https" {
		t.Errorf("repository schemes default to %v", got)
	}
	if got := r.Pairs("OUTPOST_PROVIDER_URLS"); len(got) != 0 {
		t.Errorf("an optional setting gave %v", got)
	}
	if got := r.Prefixes("OUTPOST_PRIVATE_ADDRESSES"); len(got) != 0 {
		t.Errorf("%v may be reached where nobody said so", got)
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

func TestEverythingWrongIsNamedAtOnce(t *testing.T) {
	r := config.New(config.Map(map[string]string{
		"OUTPOST_FLEET_CAP": "0", "OUTPOST_CLAIM_LEASE": "soon", "OUTPOST_PROVIDER_URLS": "xai",
		"OUTPOST_PRIVATE_ADDRESSES": "127.0.0.0/8, 10.0.0.1",
	}))
	r.String("OUTPOST_TABLE")
	r.Int("OUTPOST_FLEET_CAP")
	r.Duration("OUTPOST_CLAIM_LEASE")
	r.Pairs("OUTPOST_PROVIDER_URLS")
	r.Prefixes("OUTPOST_PRIVATE_ADDRESSES")
	err := r.Err()
	if err == nil {
		t.Fatal("nothing was wrong")
	}
	for _, name := range []string{"OUTPOST_TABLE", "OUTPOST_FLEET_CAP", "OUTPOST_CLAIM_LEASE", "OUTPOST_PROVIDER_URLS", "OUTPOST_PRIVATE_ADDRESSES"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

func TestValuesAreRead(t *testing.T) {
	r := config.New(config.Map(map[string]string{
		"OUTPOST_TABLE": "t", "OUTPOST_FLEET_CAP": "7", "OUTPOST_HEARTBEAT_LEASE": "3s",
		"OUTPOST_PROVIDER_URLS":     "xai=http://127.0.0.1:1, openai=http://127.0.0.1:2",
		"OUTPOST_PRIVATE_ADDRESSES": "127.0.0.0/8, ::1/128",
	}))
	if got := r.Prefixes("OUTPOST_PRIVATE_ADDRESSES"); len(got) != 2 || got[1].String() != "::1/128" {
		t.Errorf("read %v", got)
	}
	urls := r.Pairs("OUTPOST_PROVIDER_URLS")
	if r.String("OUTPOST_TABLE") != "t" || r.Int("OUTPOST_FLEET_CAP") != 7 ||
		r.Duration("OUTPOST_HEARTBEAT_LEASE") != 3*time.Second || urls["openai"] != "http://127.0.0.1:2" || len(urls) != 2 {
		t.Errorf("read %v", urls)
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

func TestTheStoreOfSecretsIsOneThatThereIs(t *testing.T) {
	for value, want := range map[string]topology.SecretStore{"": topology.InTable, "table": topology.InTable, "secretsmanager": topology.InSecretsManager} {
		r := config.New(config.Map(map[string]string{"OUTPOST_SECRET_STORE": value}))
		if got := r.SecretStore(); got != want || r.Err() != nil {
			t.Errorf("%q is %q, %v", value, got, r.Err())
		}
	}
	r := config.New(config.Map(map[string]string{"OUTPOST_SECRET_STORE": "Table"}))
	if r.SecretStore(); r.Err() == nil || !strings.Contains(r.Err().Error(), "OUTPOST_SECRET_STORE") {
		t.Errorf("another: %v", r.Err())
	}
}
