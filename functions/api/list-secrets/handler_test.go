package main

import (
	"strings"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/topology"
)

func TestSecretsAreListedWithoutTheirValues(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	route := apitest.Serve(t, "GET", "/v1/secrets", handler{w.Table, topology.InTable}.handle)
	var got api.Page[entry]
	route.As(w.Caller, apitest.Request{}).Into(t, 200, &got)
	if len(got.Data) != 0 || got.HasMore {
		t.Errorf("at first: %+v", got)
	}
	for i, s := range []table.Sealed{
		{Name: "XAI_API_KEY", Version: 1, Display: "…last", Ciphertext: []byte("sealed-bytes"), WrappedKey: []byte("wrapped-bytes"), SetAt: c.Now()},
		{Name: "GIT_TOKEN", Version: 1, Display: "…oken", Host: "github.com", Ciphertext: []byte("sealed-bytes"), SetAt: c.Now()},
	} {
		w.Must(w.PutSecret(t.Context(), w.Tenant, s, table.By{Audit: audit.Event{ID: id.New(id.Audit, c.Now()), At: c.Now(), Detail: string(rune('a' + i))}}))
	}
	a := route.As(w.Caller, apitest.Request{})
	a.Into(t, 200, &got)
	if len(got.Data) != 2 || got.Data[0].Name != "GIT_TOKEN" || *got.Data[0].Host != "github.com" || len(got.Data[0].Agents) != 5 ||
		got.Data[1].Display != "…last" || got.Data[1].Host != nil || strings.Join(got.Data[1].Agents, " ") != "grok" {
		t.Errorf("%+v", got)
	}
	if strings.Contains(string(a.Body), "bytes") || strings.Contains(string(a.Body), "c2VhbGVk") {
		t.Errorf("the list holds what is sealed: %s", a.Body)
	}
	// With another store chosen they are to be set again.
	apitest.Serve(t, "GET", "/v1/secrets", handler{w.Table, topology.InSecretsManager}.handle).As(w.Caller, apitest.Request{}).Into(t, 200, &got)
	if len(got.Data) != 0 {
		t.Errorf("set in another store are %+v", got.Data)
	}
	route.As(w.Stranger("pro"), apitest.Request{}).Into(t, 200, &got)
	if len(got.Data) != 0 {
		t.Errorf("a stranger sees %+v", got.Data)
	}
}
