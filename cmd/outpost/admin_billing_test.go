package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"outpost/cmd/outpost/internal/apitest"
	standin "outpost/infra/local/stripe"
	"outpost/shared/clock"
)

// till is a stand-in for Stripe that opens to one key.
type till struct {
	*standin.Server
	url, key string
}

func newTill(t *testing.T) *till {
	t.Helper()
	s := &till{key: "sk_" + "test_till"}
	var err error
	s.Server, err = standin.New(standin.Options{Clock: clock.NewManual(noon), Seed: 3, Key: s.key})
	must(t, err)
	server := httptest.NewServer(s.Server)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// billing runs a command that speaks to the stand-in, with no key of Outpost's.
func (s *till) billing(t *testing.T, env []string, args ...string) result {
	t.Helper()
	cmd := command(t, &apitest.API{URL: "https://outpost.example", Key: ""}, append([]string{"admin", "billing"}, args...)...)
	cmd.Env = append(append(cmd.Env, "STRIPE_API_BASE="+s.url, "STRIPE_SECRET_KEY="+s.key), env...)
	got := finish(t, cmd)
	if strings.Contains(got.stdout+got.stderr, s.key) {
		t.Errorf("it shows the key: %+v", got)
	}
	return got
}

var (
	pricesLine = regexp.MustCompile(`"stripe_prices": "(price_\w+=\w+,price_\w+=\w+)",\n"stripe_live": false\n`)
	secretLine = regexp.MustCompile(`(?m)^STRIPE_WEBHOOK_SECRET=(whsec_\w+)$`)
)

func TestBillingIsSetUpOnceAndToldOnce(t *testing.T) {
	s := newTill(t)
	dry := s.billing(t, nil, "setup", "--dry-run")
	if dry.code != 0 || len(s.Events()) != 0 || !strings.Contains(dry.stdout, "Make the price of the plan pro: 29 USD a month.") || !strings.Contains(dry.stdout, "https://outpost.example/webhooks/stripe, of API version 2023-10-16") || pricesLine.MatchString(dry.stdout) {
		t.Errorf("dry: %+v", dry)
	}
	first := s.billing(t, nil, "setup")
	if first.code != 0 || !pricesLine.MatchString(first.stdout) || !secretLine.MatchString(first.stdout) || !strings.Contains(first.stderr, "make stripe-keys") || strings.Count(first.stderr, "Done: ") != strings.Count(dry.stdout, "\n") {
		t.Errorf("first: %+v", first)
	}
	made := len(s.Events())
	second := s.billing(t, nil, "setup")
	if second.code != 0 || len(s.Events()) != made || secretLine.MatchString(second.stdout) || !strings.Contains(second.stderr, "nothing was changed") ||
		pricesLine.FindString(second.stdout) != pricesLine.FindString(first.stdout) {
		t.Errorf("second: %+v", second)
	}
	if again := s.billing(t, nil, "setup", "--dry-run"); again.stdout != "" || again.code != 0 || !strings.Contains(again.stderr, "nothing would be changed") {
		t.Errorf("dry again: %+v", again)
	}
	table := pricesLine.FindStringSubmatch(first.stdout)[1]
	if got := s.billing(t, nil, "check", "--prices", table); got.code != 0 || !strings.Contains(got.stdout, "all 2 prices") {
		t.Errorf("check: %+v", got)
	}
	swapped := strings.NewReplacer("=enterprise", "=pro", "=pro", "=enterprise").Replace(table)
	if got := s.billing(t, []string{"OUTPOST_STRIPE_PRICES=" + swapped}, "check"); got.code != 1 || !strings.Contains(got.stdout, "of the plan enterprise: it costs 2900 cents, and the plan 19900.") ||
		!strings.Contains(got.stdout, "of the plan pro: it costs 19900 cents, and the plan 2900.") || !strings.Contains(got.stderr, "2 differences") {
		t.Errorf("check of the swapped: %+v", got)
	}
}

// post makes something at the stand-in that no setup would make.
func (s *till) post(t *testing.T, path string, form url.Values) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+path, strings.NewReader(form.Encode()))
	must(t, err)
	req.SetBasicAuth(s.key, "")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	if res.Body.Close(); res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
}

func TestASetupAfterAChangedCostTellsTheOldPriceToo(t *testing.T) {
	s := newTill(t)
	s.post(t, "/v1/products", url.Values{"id": {"outpost_pro"}, "name": {"Outpost pro"}})
	s.post(t, "/v1/prices", url.Values{"product": {"outpost_pro"}, "currency": {"usd"}, "unit_amount": {"1900"}, "recurring[interval]": {"month"}, "lookup_key": {"outpost_pro"}, "metadata[outpost]": {"plan"}})
	if got := s.billing(t, nil, "setup", "--dry-run"); !strings.Contains(got.stdout, "Make the price of the plan pro: 29 USD a month. Who pays an older one goes on paying that.\n") {
		t.Errorf("dry: %+v", got)
	}
	line := regexp.MustCompile(`"stripe_prices": "(price_\w+)=pro,(price_\w+)=pro,(price_\w+)=enterprise"`)
	var table string
	for range 2 {
		got := s.billing(t, nil, "setup")
		p := line.FindStringSubmatch(got.stdout)
		if p == nil || !strings.Contains(got.stderr, "1 price of the past still gives its plan") || table != "" && p[0] != table {
			t.Fatalf("%+v, after %s", got, table)
		}
		table = p[0]
	}
	p := line.FindStringSubmatch(table)
	if got := s.billing(t, nil, "check", "--prices", p[1]+"=pro,"+p[2]+"=pro,"+p[3]+"=enterprise"); got.code != 0 || got.stdout != "Stripe sells all 2 prices as the plans say.\nIt has 1 price of the past, too.\n" {
		t.Errorf("%+v", got)
	}
	for why, c := range map[string]struct{ prices, says string }{
		"the old one first": {p[2] + "=pro," + p[1] + "=pro," + p[3] + "=enterprise", "The price " + p[2] + " of the plan pro: it costs 1900 cents, and the plan 2900."},
		"of another plan":   {p[1] + "=pro," + p[3] + "=enterprise," + p[2] + "=enterprise", "The old price " + p[2] + " of the plan enterprise: it is of the product outpost_pro, and what is sold of outpost_enterprise."},
		"of nobody":         {p[1] + "=pro," + p[3] + "=enterprise,price_none=pro", "The old price price_none of the plan pro: Stripe has no such price."},
	} {
		if got := s.billing(t, nil, "check", "--prices", c.prices); got.code != 1 || got.stdout != c.says+"\n" {
			t.Errorf("%s: %+v", why, got)
		}
	}
}

func TestASetupThatFailsHalfwaySaysWhereAndLosesNoSecret(t *testing.T) {
	s := newTill(t)
	s.Fail(standin.Fault{Path: "/v1/webhook_endpoints", Times: -1, Status: 503})
	if got := s.billing(t, nil, "setup"); got.code != 4 || !strings.Contains(got.stderr, "Stripe does not answer now (HTTP 503)") {
		t.Errorf("%+v", got)
	}
	s.Heal()
	if got := s.billing(t, nil, "setup"); got.code != 0 || !secretLine.MatchString(got.stdout) {
		t.Errorf("%+v", got)
	}
}

func TestASetupRefusesWhatItShould(t *testing.T) {
	s := newTill(t)
	live := "STRIPE_SECRET_KEY=sk_" + "live_till"
	file := filepath.Join(t.TempDir(), "shop.json")
	must(t, os.WriteFile(file, []byte(`{"api_version": "2024-04-10"}`), 0o600))
	for _, c := range []struct {
		why  string
		env  []string
		args []string
		code int
		says string
	}{
		{"a live key", []string{live}, []string{"setup"}, 2, "say --live"},
		{"a live key in a dry run", []string{live}, []string{"setup", "--dry-run"}, 2, "say --live"},
		{"a test key where money is real", nil, []string{"setup", "--live"}, 2, "live"},
		{"no key", []string{"STRIPE_SECRET_KEY="}, []string{"setup"}, 2, "no key of Stripe"},
		{"a publishable key", []string{"STRIPE_SECRET_KEY=pk_" + "test_x"}, []string{"setup"}, 2, "sk_ or rk_"},
		{"a key that is not known", []string{"STRIPE_SECRET_KEY=sk_" + "test_other"}, []string{"setup"}, 3, "does not accept the key"},
		{"an address that anybody reads", []string{"STRIPE_API_BASE=http://stripe.example"}, []string{"setup"}, 2, "must be https"},
		{"no address of Outpost", []string{"OUTPOST_URL="}, []string{"setup"}, 2, "OUTPOST_URL"},
		{"another version", nil, []string{"setup", "--file", file}, 2, "api_version"},
		{"no file", nil, []string{"setup", "--file", file + "x"}, 2, "read the declaration"},
		{"Stripe is away", []string{"STRIPE_API_BASE=http://127.0.0.1:1"}, []string{"setup"}, 4, "does not answer"},
		{"a key on the command line", nil, []string{"setup", "--key", "x"}, 2, "unknown flag"},
		{"no table", nil, []string{"check"}, 2, "no table of prices"},
		{"half a table", nil, []string{"check", "--prices", "price_1=pro"}, 1, "enterprise has no price"},
		{"two tables", nil, []string{"check", "--prices", "price_1=pro", "--env", "dev"}, 2, "say one"},
		{"no cdk.json", nil, []string{"check", "--env", "dev"}, 2, "read the settings"},
	} {
		if got := s.billing(t, c.env, c.args...); got.code != c.code || !strings.Contains(got.stderr, c.says) || got.stdout != "" {
			t.Errorf("%s: %+v", c.why, got)
		}
	}
	if len(s.Events()) != 0 {
		t.Errorf("something was made: %d events", len(s.Events()))
	}
}

func TestACheckTakesTheTableOfAnEnvironment(t *testing.T) {
	s := newTill(t)
	table := pricesLine.FindStringSubmatch(s.billing(t, nil, "setup").stdout)[1]
	file := filepath.Join(t.TempDir(), "cdk.json")
	must(t, os.WriteFile(file, fmt.Appendf(nil, `{"app": "x", "context": {"environments": {"dev": {"stripe_prices": %q}, "prod": {"stripe_prices": %q, "stripe_live": true}, "staging": {"region": "r"}}}}`, table, table), 0o600))
	for env, c := range map[string]struct {
		code int
		says string
	}{"dev": {0, "all 2 prices"}, "prod": {1, "stripe_live of prod is true"}, "staging": {1, "sells nothing"}, "none": {2, `no environment "none"`}} {
		if got := s.billing(t, nil, "check", "--env", env, "--cdk-json", file); got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.says) {
			t.Errorf("%s: %+v", env, got)
		}
	}
}

// operator runs a command with the operator's key.
func adminBilling(t *testing.T, api *apitest.API, args ...string) result {
	t.Helper()
	return asOperator(t, api, append([]string{"admin", "billing"}, args...)...)
}

func TestATenantsBillingIsShownWithItsDifferencesMarked(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	got := adminBilling(t, api, "show", ten)
	lines := strings.Split(got.stdout, "\n")
	find := func(name string) string {
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+" ") })
		if i < 0 {
			t.Fatalf("no line %q in %s", name, got.stdout)
		}
		return lines[i]
	}
	if got.code != 0 || !strings.Contains(find("plan"), "free (stripe)") || !strings.HasSuffix(strings.TrimSpace(find("plan")), "differs") || strings.Contains(find("customer"), "differs") ||
		!strings.Contains(got.stdout, "sub_1OoLvL2eZvKYlo2C") || !strings.Contains(got.stdout, "2026-12-23 10:00 UTC") {
		t.Errorf("%+v", got)
	}
	var all map[string]any
	if got := adminBilling(t, api, "show", ten, "--json"); json.Unmarshal([]byte(got.stdout), &all) != nil || all["plan"] != "free" || len(all["differences"].([]any)) != 2 {
		t.Errorf("%+v", got)
	}
	unseen := apitest.Start(t, apitest.Script{Refuse: func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, `{"tenant":"`+ten+`","plan":"free","plan_source":"stripe","state":"active","recorded":{"customer":"cus_1","looked_at":null},"stripe":{"customer":"cus_1","plan":"free","standing":"No subscription: the free plan."},"differences":[],"note":"Nobody has looked at Stripe for this tenant yet: a sync does."}`)
		return true
	}})
	if got := adminBilling(t, unseen, "show", ten); got.code != 0 || strings.Contains(got.stdout, "differs") || !regexp.MustCompile(`looked at +not yet`).MatchString(got.stdout) || !strings.Contains(got.stderr, "Nobody has looked") {
		t.Errorf("%+v", got)
	}
	down := apitest.Start(t, apitest.Script{Refuse: func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, `{"tenant":"`+ten+`","plan":"pro","plan_source":"stripe","state":"active","recorded":{"plan":"pro","looked_at":"2026-11-23T10:00:00Z"},"stripe":null,"differences":[],"note":"Stripe does not answer."}`)
		return true
	}})
	if got := adminBilling(t, down, "show", ten); got.code != 0 || !strings.Contains(got.stdout, "pro (stripe)") || !strings.Contains(got.stderr, "Stripe does not answer.") {
		t.Errorf("%+v", got)
	}
}

func TestASyncAndAReplayTellWhatTheyDid(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	if got := adminBilling(t, api, "sync", ten); got.code != 0 || !regexp.MustCompile(`plan +free +pro`).MatchString(got.stdout) {
		t.Errorf("%+v", got)
	}
	if got := adminBilling(t, api, "sync", ten, "--json"); got.code != 0 || !strings.Contains(got.stdout, `"changed": true`) && !strings.Contains(got.stdout, `"changed":true`) {
		t.Errorf("%+v", got)
	}
	if got := adminBilling(t, api, "replay"); got.code != 0 || got.stdout != "12 events went back to the queue.\n" {
		t.Errorf("%+v", got)
	}
	rounds := []string{`{"moved":200,"left":150}`, `{"moved":149,"left":1}`, `{"moved":0,"left":1}`}
	many := apitest.Start(t, apitest.Script{Refuse: func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, rounds[0])
		rounds = rounds[1:]
		return true
	}})
	if got := adminBilling(t, many, "replay"); got.code != 0 || got.stdout != "349 events went back to the queue.\n" || !strings.Contains(got.stderr, "About 1 are left") {
		t.Errorf("%+v", got)
	}
	refused := apitest.Start(t, apitest.Script{Refuse: func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	}})
	for _, args := range [][]string{{"show", ten}, {"sync", ten}, {"replay"}} {
		if got := adminBilling(t, refused, args...); got.code != 3 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestEndpointsOfAnotherAddressAreNamedAndDisabledWhenAsked(t *testing.T) {
	s := newTill(t)
	first := s.billing(t, nil, "setup")
	prices := pricesLine.FindStringSubmatch(first.stdout)[1]
	moved := []string{"OUTPOST_URL=https://moved.example/"}
	enabled := func() (urls []string) {
		for _, e := range s.Endpoints() {
			if e.Status == "enabled" {
				urls = append(urls, e.URL)
			}
		}
		slices.Sort(urls)
		return urls
	}
	const old, now = "https://outpost.example/webhooks/stripe", "https://moved.example/webhooks/stripe"
	if got := s.billing(t, moved, "setup"); got.code != 0 || !strings.Contains(got.stderr, "another address, "+old) || !slices.Equal(enabled(), []string{now, old}) {
		t.Errorf("%+v, %v", got, enabled())
	}
	if got := s.billing(t, moved, "check", "--prices", prices); got.code != 0 || !strings.Contains(got.stderr, "another address, "+old) {
		t.Errorf("%+v", got)
	}
	if got := s.billing(t, moved, "setup", "--alone", "--dry-run"); got.code != 0 || strings.Count(got.stdout, "Disable the webhook endpoint") != 1 || len(enabled()) != 2 {
		t.Errorf("%+v", got)
	}
	if got := s.billing(t, moved, "setup", "--alone"); got.code != 0 || !slices.Equal(enabled(), []string{now}) {
		t.Errorf("%+v, %v", got, enabled())
	}
	for _, args := range [][]string{{"setup", "--alone"}, {"check", "--prices", prices}} {
		if got := s.billing(t, moved, args...); got.code != 0 || strings.Contains(got.stderr, "another address") || strings.Contains(got.stderr, "Done:") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
