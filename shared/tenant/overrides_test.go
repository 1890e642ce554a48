package tenant_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"outpost/shared/tenant"
)

func TestEachOverrideStandsInThePlaceOfItsLimit(t *testing.T) {
	e := tenant.Entitlement{Plan: "free", Overrides: tenant.Overrides{RunsPerDay: 3, ConcurrentRuns: 2, Agents: tenant.AgentsOf("codex", "aider"),
		MaxTimeoutSeconds: 1200, Weight: 7, RequestsPerMinute: 11}}
	p, err := e.Limits()
	if err != nil || p.Name != "free" || p.RunsPerDay != 3 || p.ConcurrentRuns != 2 || p.MaxTimeout != 20*time.Minute || p.Weight != 7 || p.RequestsPerMinute != 11 {
		t.Errorf("%+v, %v", p, err)
	}
	if p.Allows("claude") || !p.Allows("codex") || !p.Allows("aider") {
		t.Errorf("agents %v", p.Agents)
	}
	for name, c := range map[string]struct {
		agents tenant.Agents
		want   []string
	}{"as the plan says": {"", []string{"claude"}}, "all": {tenant.AllAgents, []string{"claude", "codex", "new"}}, "another": {tenant.AgentsOf("new"), []string{"new"}}} {
		p, err := tenant.Entitlement{Plan: "free", Overrides: tenant.Overrides{Agents: c.agents}}.Limits()
		if got := p.Included([]string{"claude", "codex", "new"}); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if p, _ := (tenant.Entitlement{Plan: "free"}).Limits(); !p.Allows("claude") || p.Allows("codex") {
		t.Errorf("the plan itself was changed: %v", p.Agents)
	}
}

func TestEqualOverridesAreEqualValues(t *testing.T) {
	var a, b tenant.Overrides
	for text, to := range map[string]*tenant.Overrides{`{"agents":["codex","claude","codex"],"weight":2}`: &a, `{"weight":2,"agents":["claude","codex"]}`: &b} {
		if err := json.Unmarshal([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	if a != b || a.Agents == tenant.AgentsOf("claude") {
		t.Errorf("%+v, %+v", a, b)
	}
	if tenant.AgentsOf("claude", "all") != tenant.AllAgents || tenant.AgentsOf() != "" {
		t.Error("all and more is all; none is none")
	}
	written, err := json.Marshal(a)
	if err != nil || string(written) != `{"agents":["claude","codex"],"weight":2}` {
		t.Errorf("%s, %v", written, err)
	}
	if written, err := json.Marshal(tenant.Overrides{}); err != nil || string(written) != `{}` {
		t.Errorf("%s, %v", written, err)
	}
}

func TestAChangeNamesSingleOverrides(t *testing.T) {
	all := tenant.Overrides{RunsPerDay: 3, ConcurrentRuns: 2, Agents: tenant.AgentsOf("codex"), MaxTimeoutSeconds: 1200, Weight: 7, RequestsPerMinute: 11}
	with := func(change func(*tenant.Overrides)) tenant.Overrides {
		o := all
		change(&o)
		return o
	}
	for text, want := range map[string]tenant.Overrides{
		`{}`:                                all,
		`{"weight":9}`:                      with(func(o *tenant.Overrides) { o.Weight = 9 }),
		`{"weight":null,"runs_per_day":-1}`: with(func(o *tenant.Overrides) { o.Weight, o.RunsPerDay = 0, -1 }),
		`{"agents":["all"]}`:                with(func(o *tenant.Overrides) { o.Agents = tenant.AllAgents }),
		`{"agents":null,"max_timeout_seconds":60}`: with(func(o *tenant.Overrides) { o.Agents, o.MaxTimeoutSeconds = "", 60 }),
		`{"runs_per_day":null,"concurrent_runs":null,"agents":null,"max_timeout_seconds":null,"weight":null,"requests_per_minute":null}`: {},
	} {
		var c tenant.Change
		if err := json.Unmarshal([]byte(`{"limits":`+text+`}`), &c); err != nil {
			t.Fatal(err)
		}
		was := tenant.Tenant{Entitlement: tenant.Entitlement{Plan: "pro", Overrides: all, State: tenant.Active, Version: 4}}
		now, err := was.Apply(c)
		if err != nil || now.Entitlement.Overrides != want || (now.Entitlement.Version == 5) != (want != all) {
			t.Errorf("%s: %+v, %v", text, now.Entitlement, err)
		}
	}
}
