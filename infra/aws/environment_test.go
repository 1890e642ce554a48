package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"outpost/shared/topology"
)

func TestAWrongSettingIsOneSentenceThatNamesIt(t *testing.T) {
	valid := `"region":"eu-central-1","availability_zones":["eu-central-1a","eu-central-1b"],"fleet_cap":5,"log_retention_days":7,"keep_data":true`
	for _, c := range []struct{ why, name, with, want string }{
		{"no environment", "", "", "say which environment"},
		{"an unknown environment", "qa", "", `no environment "qa"`},
		{"an unknown field", "dev", `"colour":"red"`, `unknown field "colour"`},
		{"a wrong type", "dev", `"fleet_cap":"many"`, "fleet_cap"},
		{"secrets nowhere", "dev", `"secret_store":"vault"`, "secret_store"},
		{"no fleet", "dev", `"fleet_cap":0`, "fleet_cap"},
		{"a region that is none", "dev", `"region":"Frankfurt"`, "region"},
		{"a zone elsewhere", "dev", `"availability_zones":["us-east-1a","us-east-1b"]`, "availability_zones"},
		{"one zone", "dev", `"availability_zones":["eu-central-1a"]`, "availability_zones"},
		{"an account that is none", "dev", `"account":"123"`, "account"},
		{"a domain without certificate", "dev", `"domain":"api.example.com"`, "certificate"},
		{"a certificate elsewhere", "dev", `"domain":"api.example.com","certificate":"arn:aws:acm:us-east-1:123456789012:certificate/0-0"`, "certificate"},
		{"a domain that is none", "dev", `"domain":"https://x","certificate":"arn:aws:acm:eu-central-1:123456789012:certificate/0-0"`, "domain"},
		{"an odd retention", "dev", `"log_retention_days":8`, "log_retention_days"},
		{"production that may be deleted", "prod", `"keep_data":false`, "keep_data"},
		{"prices of one plan only", "dev", `"stripe_prices":"price_1=pro"`, "stripe_prices"},
		{"a price of two plans", "dev", `"stripe_prices":"price_1=pro,price_1=enterprise"`, "stripe_prices"},
		{"a price of no plan", "dev", `"stripe_prices":"price_1=gold"`, "stripe_prices"},
		{"real money for nothing", "dev", `"stripe_live":true`, "stripe_live"},
		{"a return by plain HTTP", "dev", `"return_urls":["http://app.example.com"]`, "return_urls"},
		{"a return to more than an origin", "dev", `"return_urls":["https://app.example.com","https://app.example.com/billing"]`, "return_urls"},
		{"a return to everywhere", "dev", `"return_urls":["*"]`, "return_urls"},
		{"a return to the caller's own machine", "dev", `"return_urls":["loopback"]`, "return_urls"},
		{"two returns in one", "dev", `"return_urls":["https://app.example.com,https://b.example.com"]`, "return_urls"},
		{"an empty return", "dev", `"return_urls":[""]`, "return_urls"},
		{"a return that is no list", "dev", `"return_urls":"https://app.example.com"`, "return_urls"},
		{"an address that is none", "dev", `"alarm_email":"ops"`, "alarm_email"},
		{"concurrency for nobody", "dev", `"reserved_concurrency":{"api/fly":1}`, "api/fly"},
		{"no concurrency", "dev", `"reserved_concurrency":{"scheduler":0}`, "scheduler"},
	} {
		fields := valid
		if c.with != "" {
			fields += "," + c.with // the last of equal names counts
		}
		_, err := readEnvironment(c.name, fmt.Appendf(nil, `{%q:{%s}}`, c.name, fields))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.why, err)
		}
	}
	if _, err := readEnvironment("prod", []byte(`{"dev":{}}`)); err == nil || !strings.Contains(err.Error(), "prod") {
		t.Errorf("an environment that is not there: %v", err)
	}
	if _, err := readEnvironment("dev", []byte(`null`)); err == nil {
		t.Error("a cdk.json without environments passes")
	}
	e, err := readEnvironment("dev", fmt.Appendf(nil, `{"dev":{%s,"domain":"api.example.com","certificate":"arn:aws:acm:eu-central-1:123456789012:certificate/0-0","alarm_email":"ops@example.com"}}`, valid))
	if err != nil || e.Domain != "api.example.com" || e.Name != "dev" {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestTwoSynthesesAreIdentical(t *testing.T) {
	if len(clouds["dev"]) == 0 || len(clouds["dev"]) != len(clouds["dev again"]) {
		t.Fatal("stacks are missing")
	}
	for stack, template := range clouds["dev"] {
		if !bytes.Equal(template.raw, clouds["dev again"][stack].raw) {
			t.Errorf("%s differs from one synthesis to the next", stack)
		}
	}
}

// With the settings of one environment under the name of another the templates
// are equal but for the name: nothing else looks at it.
func TestEnvironmentsDifferInWhatTheSettingsSayAlone(t *testing.T) {
	assets, err := stubs()
	if err != nil {
		t.Fatal(err)
	}
	disguised := environment("staging")
	disguised.Name = "prod"
	got, err := synth(disguised, assets)
	if err != nil {
		t.Fatal(err)
	}
	for stack, template := range clouds["staging"] {
		want := neutral(template.raw, "staging")
		if have := neutral(got[stack].raw, "prod"); !bytes.Equal(want, have) {
			t.Errorf("%s: %s", stack, firstDifference(want, have))
		}
	}
}

// hash is the tail that CDK makes of a name.
var hash = regexp.MustCompile(`[0-9A-F]{8}`)

// neutral is a template without its environment's name.
func neutral(raw []byte, name string) []byte {
	text := strings.NewReplacer("outpost-"+name, "outpost-ENV", "Outpost/"+name, "Outpost/ENV", "outpost"+name, "outpostENV", "Outpost "+name, "Outpost ENV",
		`"`+name+`"`, `"ENV"`).Replace(string(raw))
	return []byte(hash.ReplaceAllString(text, "HASH"))
}

func firstDifference(a, b []byte) string {
	la, lb := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return fmt.Sprintf("line %d: %s ≠ %s", i+1, la[i], lb[i])
		}
	}
	return "one is longer"
}

func TestSettingsReachTheirPlaces(t *testing.T) {
	assets, err := stubs()
	if err != nil {
		t.Fatal(err)
	}
	e := environment("dev")
	e.Domain, e.Certificate = "api.example.com", "arn:aws:acm:us-east-1:123456789012:certificate/0-0"
	e.Account, e.AlarmEmail = "123456789012", "ops@example.com"
	e.ReservedConcurrency = map[string]int{"scheduler": 2}
	e.ReturnURLs = []string{"https://app.example.com", "https://console.example.com:8443"}
	e.SecretStore = topology.InSecretsManager
	c, err := synth(e, assets)
	if err != nil {
		t.Fatal(err)
	}
	launch := c.functions(e)["workflow/launch"]
	if url := launch.get("Environment", "Variables", "OUTPOST_API_URL"); url != "https://api.example.com" {
		t.Errorf("workers reach the API at %v", url)
	}
	checkout := c.functions(e)["api/open-checkout"]
	if url, to := checkout.get("Environment", "Variables", "OUTPOST_API_URL"), checkout.get("Environment", "Variables", "OUTPOST_RETURN_URLS"); url != "https://api.example.com" || to != "https://app.example.com,https://console.example.com:8443" {
		t.Errorf("Checkout leads back by %v to %v", url, to)
	}
	for _, name := range []string{"api/put-secret", "api/delete-secret", "runner/claim"} {
		vars := c.functions(e)[name].get("Environment", "Variables")
		if dig(vars, "OUTPOST_TENANT_SECRETS") != "outpost-dev/tenants/" || dig(vars, "OUTPOST_SECRET_STORE") != "secretsmanager" || dig(vars, "OUTPOST_KMS_KEY") != nil {
			t.Errorf("%s keeps secrets by %v", name, vars)
		}
	}
	if n := c.functions(e)["scheduler"].get("ReservedConcurrentExecutions"); n != float64(2) {
		t.Errorf("reserved: %v", n)
	}
	if len(c.all("AWS::ApiGatewayV2::DomainName")) != 1 || len(c.all("AWS::ApiGatewayV2::ApiMapping")) != 1 || len(c.all("AWS::SNS::Subscription")) != 1 {
		t.Error("domain, mapping or subscription is missing")
	}
	if api := c.all("AWS::ApiGatewayV2::Api")[0]; api.get("DisableExecuteApiEndpoint") != true {
		t.Error("the API is served beside its domain")
	}
	for _, r := range c.all("") {
		if rule, ok := invariants[r.Type]; !ok {
			t.Errorf("%s is a %s, which no rule is for", r, r.Type)
		} else {
			for _, problem := range rule(c, e, r) {
				t.Errorf("%s: %s", r, problem)
			}
		}
	}
}

// A synthesis that looked something up would ask for a context value.
func TestSynthesisLooksNothingUp(t *testing.T) {
	for _, name := range names {
		for stack, template := range clouds[name] {
			var t2 struct{ Parameters map[string]any }
			if err := json.Unmarshal(template.raw, &t2); err != nil {
				t.Fatal(err)
			}
			for p := range t2.Parameters {
				if p != "BootstrapVersion" {
					t.Errorf("%s %s asks for %s", name, stack, p)
				}
			}
			if bytes.Contains(template.raw, []byte("dummy-value")) || bytes.Contains(template.raw, []byte("dummy1")) {
				t.Errorf("%s %s holds a place for something looked up", name, stack)
			}
		}
	}
	if !slices.Contains(names, "prod") {
		t.Error("no production")
	}
}
