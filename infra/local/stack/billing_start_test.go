package stack_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"outpost/infra/local/guarantee"
	"outpost/shared/topology"
)

// sellers are the functions that have the table of prices.
func sellers() (names []string) {
	for _, f := range topology.Functions {
		if slices.Contains(f.Settings, "OUTPOST_STRIPE_PRICES") {
			names = append(names, f.Name)
		}
	}
	return names
}

// asksNothing are the functions of billing that never ask Stripe, and so start
// without knowing whether it has the prices.
var asksNothing = map[string]string{
	"stripe/webhook": "it keeps events, also while Stripe's API is down; who looks at them asks first",
}

// No function of billing starts with what does not fit: the real binaries, on the
// settings and the secret that they are given. A function that is added is tried by
// itself.
func TestGuaranteeNoFunctionOfBillingStartsWithWhatDoesNotFit(t *testing.T) {
	g := guarantee.For(t, "billing-7", "No function of billing starts without a whsec_ secret, with a live key in a test environment or the other way round, or with a price that Stripe does not know: every binary, started so")
	dir := t.TempDir()
	o := options(t, dir, scriptedAgent(t, `true`), "http://127.0.0.1:9")
	w := start(t, o)
	good := document(w)
	refused := 0
	try := func(w *world, dir, why string, change map[string]string, says string, but map[string]string) {
		t.Helper()
		put(w, good, change)
		for _, f := range sellers() {
			if but[f] != "" {
				continue
			}
			logged, answer, err := size(t, dir), []byte(nil), error(nil)
			for range 10 { // some may run already, for webhooks that came
				w.Lambda.Kill(f)
				if answer, err = w.Lambda.Invoke(t.Context(), f, []byte("{}")); err != nil && strings.Contains(err.Error(), "ExitError") {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), "ExitError") {
				t.Errorf("%s: %s starts: %s, %v", why, f, answer, err)
				continue
			}
			said := logs(t, dir)[logged:]
			if !strings.Contains(said, "this function cannot start: ") || !strings.Contains(said, says) || strings.Contains(said, "inclear") {
				t.Errorf("%s: %s says %s", why, f, said)
			}
			refused++
		}
	}
	live, test := "sk_"+"live_inclear", "sk_"+"test_inclear"
	try(w, dir, "no webhook secret", map[string]string{"stripe_webhook_secret": ""}, "whsec_", nil)
	try(w, dir, "a webhook secret of nobody", map[string]string{"stripe_webhook_secret": "whsec_"}, "whsec_", nil)
	try(w, dir, "another kind of secret", map[string]string{"stripe_webhook_secret": test}, "whsec_", nil)
	try(w, dir, "no key", map[string]string{"stripe_key": ""}, "sk_ or rk_", nil)
	try(w, dir, "a live key", map[string]string{"stripe_key": live}, "live", nil)
	try(w, dir, "a key that Stripe does not know", map[string]string{"stripe_key": test}, "", asksNothing)
	w.Stop()

	for _, c := range []struct {
		why, name, value, says string
		but                    map[string]string
	}{
		{"prices that Stripe has not", "OUTPOST_STRIPE_PRICES", "price_x=pro,price_y=enterprise", "no such price", asksNothing},
		{"a test key where money is real", "OUTPOST_STRIPE_LIVE", "true", "live", nil},
	} {
		o.Settings = maps.Clone(timing)
		o.Settings[c.name] = c.value
		w := start(t, o)
		try(w, dir, c.why, nil, c.says, c.but)
		w.Stop()
	}
	o.Settings = timing
	w = start(t, o)
	put(w, good, nil)
	for _, f := range sellers() { // and with what fits all of them do
		if _, err := w.Lambda.Invoke(t.Context(), f, []byte("{}")); err != nil && strings.Contains(err.Error(), "ExitError") {
			t.Errorf("%s does not start with what fits: %v", f, err)
		}
	}
	g.Figure("functions", len(sellers()))
	g.Figure("starts refused", refused)
}

// document is the platform secret.
func document(w *world) map[string]string {
	w.t.Helper()
	name := "outpost/platform"
	out, err := secretsmanager.NewFromConfig(w.AWS).GetSecretValue(w.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		w.t.Fatal(err)
	}
	doc := map[string]string{}
	if err := json.Unmarshal([]byte(*out.SecretString), &doc); err != nil {
		w.t.Fatal(err)
	}
	return doc
}

// put stores the platform secret with a change.
func put(w *world, doc, change map[string]string) {
	w.t.Helper()
	doc = maps.Clone(doc)
	maps.Copy(doc, change)
	text, err := json.Marshal(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	name, value := "outpost/platform", string(text)
	if _, err := secretsmanager.NewFromConfig(w.AWS).PutSecretValue(w.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value}); err != nil {
		w.t.Fatal(err)
	}
}

func logs(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "outpost.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func size(t *testing.T, dir string) int { return len(logs(t, dir)) }
