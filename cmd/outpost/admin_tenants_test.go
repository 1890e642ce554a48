package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"outpost/cmd/outpost/internal/apitest"
)

// operator returns the client with the operator's key alone.
func operator(t *testing.T, api *apitest.API, args ...string) *exec.Cmd {
	t.Helper()
	cmd := command(t, api, args...)
	cmd.Env = append(cmd.Env, "OUTPOST_API_KEY=", "OUTPOST_OPERATOR_KEY="+api.Key)
	return cmd
}

func asOperator(t *testing.T, api *apitest.API, args ...string) result {
	t.Helper()
	return finish(t, operator(t, api, args...))
}

var aTenant = regexp.MustCompile(`ten_[0-9A-Z]{26}`)

func newTenant(t *testing.T, api *apitest.API, args ...string) (id string) {
	t.Helper()
	got := asOperator(t, api, append([]string{"admin", "tenants", "create", "Acme", "--email", "dev@acme.example"}, args...)...)
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	return aTenant.FindString(got.stdout)
}

// lastBody is what was sent last, as JSON.
func lastBody(t *testing.T, api *apitest.API) string {
	t.Helper()
	asked := api.Requests()
	body, err := json.Marshal(asked[len(asked)-1].Body)
	must(t, err)
	return string(body)
}

func TestATenantIsMadeAndItsFirstKeyShownOnce(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	got := asOperator(t, api, "admin", "tenants", "create", "Acme", "--email", "dev@acme.example", "--plan", "pro", "--runs-per-day", "unlimited", "--concurrent-runs", "9",
		"--agents", "codex,claude", "--max-timeout", "20m", "--weight", "plan", "--requests-per-minute", "77")
	if got.code != 0 || len(aKey.FindAllString(got.stdout, -1)) != 1 || !strings.Contains(got.stdout, "api key    op_live_") || !strings.Contains(got.stdout, "plan by    operator\n") {
		t.Errorf("%+v", got)
	}
	if aKey.MatchString(got.stderr) || !strings.Contains(got.stderr, "shown this once") {
		t.Errorf("beside it: %s", got.stderr)
	}
	want := `{"email":"dev@acme.example","limits":{"agents":["codex","claude"],"concurrent_runs":9,"max_timeout_seconds":1200,"requests_per_minute":77,"runs_per_day":-1},` +
		`"name":"Acme","plan":"pro"}`
	if body := lastBody(t, api); body != want {
		t.Errorf("sent %s\nwant %s", body, want)
	}
	id := aTenant.FindString(got.stdout)
	for _, args := range [][]string{{"show", id}, {"show", id, "--json"}, {"list"}, {"list", "--json"}, nil} {
		got := asOperator(t, api, append([]string{"admin", "tenants"}, args...)...)
		if got.code != 0 || !strings.Contains(got.stdout, id) || !strings.Contains(got.stdout, "operator") || aKey.MatchString(got.stdout) {
			t.Errorf("%v: %+v", args, got)
		}
	}
	got = asOperator(t, api, "admin", "tenants", "show", id)
	for _, want := range []string{`longest time-out +20m0s +the operator\n`, `weight +4 +the plan\n`, `agents +codex claude +the operator\n`} {
		if !regexp.MustCompile(want).MatchString(got.stdout) {
			t.Errorf("%q is missing in\n%s", want, got.stdout)
		}
	}
	var made struct {
		ID     string
		APIKey string `json:"api_key"`
	}
	got = asOperator(t, api, "admin", "tenants", "create", "B", "--email", "b@b.example", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &made); err != nil || !aKey.MatchString(made.APIKey) || lastBody(t, api) != `{"email":"b@b.example","name":"B"}` {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestAnUpdateSendsWhatIsNamedAndNothingElse(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	id := newTenant(t, api, "--concurrent-runs", "9", "--agents", "codex")
	for _, c := range []struct {
		args []string
		body string
		says string
	}{
		{[]string{"--name", "New"}, `{"name":"New"}`, "name       New\n"},
		{[]string{"--plan-source", "stripe"}, `{"plan_source":"stripe"}`, "plan by    stripe\n"},
		{[]string{"--plan", "enterprise", "--email", "x@y.example"}, `{"email":"x@y.example","plan":"enterprise"}`, "plan by    operator\n"},
		{[]string{"--weight", "7"}, `{"limits":{"weight":7}}`, `runs at once +9 +the operator\n`},
		{[]string{"--concurrent-runs", "plan", "--runs-per-day", "unlimited"}, `{"limits":{"concurrent_runs":null,"runs_per_day":-1}}`, `(?s)runs a UTC day +without limit +the operator\nruns at once +5 +the plan\n`},
		{[]string{"--agents", "plan", "--max-timeout", "plan"}, `{"limits":{"agents":null,"max_timeout_seconds":null}}`, `agents +claude codex +the plan\n`},
		{[]string{"--agents", "all", "--max-timeout", "90s"}, `{"limits":{"agents":["all"],"max_timeout_seconds":90}}`, `agents +claude codex gemini grok aider +the operator\nlongest time-out +1m30s +the operator\n`},
	} {
		got := asOperator(t, api, append([]string{"admin", "tenants", "update", id}, c.args...)...)
		if body := lastBody(t, api); got.code != 0 || body != c.body || !regexp.MustCompile(c.says).MatchString(got.stdout) {
			t.Errorf("%v: sent %s, want %s: %+v", c.args, body, c.body, got)
		}
	}
	asked := len(api.Requests())
	for _, args := range [][]string{nil, {"--name", ""}, {"--weight", "0"}, {"--weight", "many"}, {"--weight", "unlimited"}, {"--runs-per-day", "-1"}, {"--max-timeout", "1500ms"}, {"--max-timeout", "long"}} {
		if got := asOperator(t, api, append([]string{"admin", "tenants", "update", id}, args...)...); got.code != 2 || got.stdout != "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if n := len(api.Requests()); n != asked {
		t.Errorf("%d requests were sent for nothing", n-asked)
	}
	for _, args := range [][]string{{"--plan", "gold"}, {"--plan-source", "me"}, {"--agents", "clod"}, {"--agents", "plan,codex"}, {"--max-timeout", "2h"}, {"--email", "nobody"}} {
		if got := asOperator(t, api, append([]string{"admin", "tenants", "update", id}, args...)...); got.code != 3 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestATenantIsSuspendedReinstatedAndClosed(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	id := newTenant(t, api)
	admin := func(args ...string) result {
		return asOperator(t, api, append([]string{"admin", "tenants"}, args...)...)
	}
	for _, c := range []struct{ command, says string }{{"suspend", "suspended"}, {"suspend", "suspended"}, {"reinstate", "active"}} {
		if got := admin(c.command, id); got.code != 0 || got.stdout != id+" (Acme) is "+c.says+"\n" {
			t.Errorf("%s: %+v", c.command, got)
		}
	}
	if got := admin("close", id); got.code != 2 || !strings.Contains(got.stderr, "--yes") || deletes(api) != 0 {
		t.Errorf("with nobody to ask: %+v", got)
	}
	closed := id + " (Acme) is closed since 2026-11-23 10:00:04; its data are removed on 2026-12-23 10:00:04\n"
	if got := admin("close", "--yes", id); got.code != 0 || got.stdout != closed {
		t.Errorf("%+v", got)
	}
	if got := admin("close", id); got.code != 0 || got.stdout != closed || deletes(api) != 1 {
		t.Errorf("twice: %+v", got)
	}
	if got := admin("reinstate", id); got.code != 3 || !strings.Contains(got.stderr, "stays closed") {
		t.Errorf("after that: %+v", got)
	}
	if got := admin("show", id); !strings.Contains(got.stdout, "data until 2026-12-23 10:00:04\n") {
		t.Errorf("%+v", got)
	}
	var v map[string]any
	if got := admin("close", "-y", "--json", id); json.Unmarshal([]byte(got.stdout), &v) != nil || v["data_removal_at"] != "2026-12-23T10:00:04Z" {
		t.Errorf("as JSON: %+v", got)
	}
	for _, args := range [][]string{{"close", "-y", "ten_x"}, {"show", "Acme"}, {"suspend"}} {
		if got := admin(args...); got.code != 2 {
			t.Errorf("%v: %+v", args, got)
		}
	}
	for _, args := range [][]string{{"audit", "verify", "nonsense"}, {"audit", "verify", ""}, {"audit", "verify", id, "--noted", "zz"}, {"billing", "show", "nonsense"}, {"billing", "sync", ""}} {
		before := len(api.Requests())
		if got := asOperator(t, api, append([]string{"admin"}, args...)...); got.code != 2 || len(api.Requests()) != before {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := admin("suspend", "ten_01KAR5G5M00000000000000001"); got.code != 3 {
		t.Errorf("nobody: %+v", got)
	}
}

func deletes(api *apitest.API) (n int) {
	for _, r := range api.Requests() {
		if r.Method == http.MethodDelete {
			n++
		}
	}
	return n
}

func TestClosingAsksOnATerminal(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	id := newTenant(t, api)
	for _, c := range []struct {
		typed   string
		deletes int
		says    string
	}{{"no\r", 0, "nothing was done"}, {"\r", 0, "nothing was done"}, {"\x03", 0, ""}, {"yes\r", 1, "is closed since"}} {
		cmd := operator(t, api, "admin", "tenants", "close", id)
		p := open(t, cmd, 200, 40)
		p.await(t, "Type yes to close it: ")
		if text := p.text(); !strings.Contains(text, "30 days later") || !strings.Contains(text, "Acme") || !strings.Contains(oneLine(text), whatClosedKeysMay) {
			t.Errorf("asked: %s", text)
		}
		_, err := p.WriteString(c.typed)
		must(t, err)
		<-p.end
		if n := deletes(api); n != c.deletes || !strings.Contains(p.text(), c.says) {
			t.Errorf("%q: closed %d times:\n%s", c.typed, n, p.text())
		}
	}
}

// whatClosedKeysMay is what the contract says of them too.
const whatClosedKeysMay = "its keys write nothing from that instant and read nothing after 60 seconds"

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestTheHelpOfClosingSaysHowLongKeysRead(t *testing.T) {
	if got := finish(t, exec.Command(binary, "admin", "tenants", "close", "--help")); got.code != 0 || !strings.Contains(oneLine(got.stdout), whatClosedKeysMay) {
		t.Errorf("%+v", got)
	}
}

func TestTenantsAreListedThroughAllPagesAndWhatIsLeftIsSaid(t *testing.T) {
	var script apitest.Script
	for n := range 130 {
		script.Tenants = append(script.Tenants, map[string]any{"id": fmt.Sprintf("ten_01KAR5G5M0000000000000%04d", n), "name": fmt.Sprint("team-", n), "email": "a@b.example", "plan": "free", "plan_source": "stripe",
			"state": "active", "overrides": map[string]any{}, "created_at": "2026-11-23T10:00:00Z", "closed_at": nil, "data_removal_at": nil, "data_removed_at": nil, "limits": map[string]any{"runs_per_day": nil,
				"concurrent_runs": 1, "agents": []any{"claude"}, "max_timeout_seconds": 300, "weight": 1, "requests_per_minute": 600}})
	}
	api := apitest.Start(t, script)
	for limit, want := range map[string]int{"1": 1, "100": 100, "129": 129, "130": 130, "9223372036854775807": 130} {
		got := asOperator(t, api, "admin", "tenants", "list", "--limit", limit)
		if n := len(aTenant.FindAllString(got.stdout, -1)); n != want || strings.Contains(got.stderr, "There are more") != (want < 130) {
			t.Errorf("limit %s: %d tenants, %s", limit, n, got.stderr)
		}
	}
	if got := asOperator(t, api, "admin", "tenants", "list", "--limit", "0"); got.code != 2 {
		t.Errorf("%+v", got)
	}
	if got := finish(t, command(t, api, "admin", "tenants")); got.code != 2 || !strings.Contains(got.stderr, "OUTPOST_OPERATOR_KEY") {
		t.Errorf("with a tenant's key: %+v", got)
	}
}
