package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api/apitest"
	"outpost/shared/apikey"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

func TestATenantIsMadeWithItsFirstKey(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	store := enginetest.Table(t, c)
	hasher, err := apikey.NewHasher("v1", bytes.Repeat([]byte("p"), 32))
	if err != nil {
		t.Fatal(err)
	}
	issuer := apikey.NewIssuer(hasher, bytes.Repeat([]byte("s"), 32))
	route := apitest.Serve(t, "POST", "/v1/tenants", handler{store, issuer, c}.handle)
	var got created
	a := route.AsOperator(apitest.Request{Body: `{"name":"Acme","email":"dev@acme.example","plan":"pro","limits":{"concurrent_runs":9,"agents":["codex","claude"],"max_timeout_seconds":1200}}`})
	a.Into(t, 201, &got)
	if a.Header["Location"] != "/v1/tenants/"+got.ID || got.Plan != "pro" || got.State != "active" || got.Limits.ConcurrentRuns != 9 || *got.Limits.RunsPerDay != 100 ||
		fmt.Sprint(got.Limits.Agents) != "[claude codex]" || got.Limits.MaxTimeoutSeconds != 1200 {
		t.Errorf("%+v %v", got, a.Header)
	}
	tn, err := store.Tenant(t.Context(), got.ID)
	if err != nil || tn.Name != "Acme" || tn.Email != "dev@acme.example" || tn.Entitlement.Version != 1 {
		t.Errorf("stored: %+v, %v", tn, err)
	}
	k, err := store.KeyByHash(t.Context(), hasher.Hash(got.APIKey))
	if err != nil || k.Tenant != got.ID || k.State != table.KeyActive || k.Entitlement != tn.Entitlement || len(k.Scopes) != len(tenant.Scopes) || strings.Contains(k.Display, got.APIKey[8:30]) {
		t.Errorf("its key: %+v, %v", k, err)
	}
	trail, err := store.AuditTrail(t.Context(), got.ID, 10)
	if err != nil || len(trail) != 1 || trail[0].Action != "tenant.create" || trail[0].Actor != "operator" || trail[0].RequestID != a.Header["X-Request-Id"] {
		t.Errorf("the trail: %+v, %v", trail, err)
	}
	for _, secret := range []string{got.APIKey, got.APIKey[8:], hasher.Hash(got.APIKey)} {
		if strings.Contains(fmt.Sprint(trail), secret) {
			t.Errorf("the trail holds the key: %+v", trail)
		}
	}
	var small created
	route.AsOperator(apitest.Request{Body: `{"name":"B","email":"b@b.example"}`}).Into(t, 201, &small)
	if small.Plan != "free" || small.ID == got.ID || small.APIKey == got.APIKey {
		t.Errorf("%+v", small)
	}
}

func TestATenantThatIsNoneIsRefusedByField(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	hasher, err := apikey.NewHasher("v1", bytes.Repeat([]byte("p"), 32))
	if err != nil {
		t.Fatal(err)
	}
	issuer := apikey.NewIssuer(hasher, bytes.Repeat([]byte("s"), 32))
	store := enginetest.Table(t, c)
	route := apitest.Serve(t, "POST", "/v1/tenants", handler{store, issuer, c}.handle)
	for _, row := range []struct{ why, body, field string }{
		{"no name", `{"email":"a@b.example"}`, "/name"}, {"an empty name", `{"name":"","email":"a@b.example"}`, "/name"},
		{"no address", `{"name":"a","email":"somebody"}`, "/email"}, {"an unknown plan", `{"name":"a","email":"a@b.example","plan":"gold"}`, "/plan"},
		{"no slot", `{"name":"a","email":"a@b.example","limits":{"concurrent_runs":0}}`, "/limits/concurrent_runs"},
		{"an unknown limit", `{"name":"a","email":"a@b.example","limits":{"luck":1}}`, "/limits/luck"}, {"its own id", `{"name":"a","email":"a@b.example","id":"ten_x"}`, "/id"},
	} {
		a := route.AsOperator(apitest.Request{Body: row.body})
		if a.Status != 422 || !strings.Contains(string(a.Body), row.field) {
			t.Errorf("%s: %d %s", row.why, a.Status, a.Body)
		}
	}
	if all, _, err := store.Tenants(t.Context(), "", 10); err != nil || len(all) != 0 {
		t.Errorf("tenants were made all the same: %+v, %v", all, err)
	}
}

func TestATenantsOwnKeyMakesNoTenant(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "enterprise")
	route := apitest.Serve(t, "POST", "/v1/tenants", handler{w.Table, nil, c}.handle)
	route.As(w.Caller, apitest.Request{Body: `{"name":"a","email":"a@b.example"}`}).Refused(t, problem.Unauthorized, "")
}

func TestATenantIsMadeOnceAndItsKeyShownAgain(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	store := enginetest.Table(t, c)
	hasher, err := apikey.NewHasher("v1", bytes.Repeat([]byte("p"), 32))
	if err != nil {
		t.Fatal(err)
	}
	route := apitest.Serve(t, "POST", "/v1/tenants", handler{store, apikey.NewIssuer(hasher, bytes.Repeat([]byte("s"), 32)), c}.handle)
	once := apitest.Request{Body: `{"name":"Acme","email":"dev@acme.example"}`, Header: map[string]string{"Idempotency-Key": "once"}}
	first, again := route.AsOperator(once), route.AsOperator(once)
	if first.Status != 201 || string(first.Body) != string(again.Body) || again.Header["Idempotent-Replayed"] != "true" || again.Header["Location"] != first.Header["Location"] {
		t.Errorf("%s\n%s", first.Body, again.Body)
	}
	if all, _, err := store.Tenants(t.Context(), "", 10); err != nil || len(all) != 1 {
		t.Errorf("tenants: %+v, %v", all, err)
	}
	once.Body = `{"name":"Other","email":"dev@acme.example"}`
	route.AsOperator(once).Refused(t, problem.IdempotencyMismatch, "Idempotency-Key")
}
