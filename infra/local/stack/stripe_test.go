package stack_test

import (
	"strings"
	"testing"

	"outpost/infra/local/stack"
)

func TestOnlyATestAccountOfStripesIsTaken(t *testing.T) {
	for _, c := range []struct{ why, key, webhook, says string }{
		{"nothing set: the stand-in", "", "", ""},
		{"a secret alone is nothing", "", "whsec_x", ""},
		{"a test account", "sk_" + "test_x", "whsec_x", ""},
		{"a restricted key of one", "rk_" + "test_x", "whsec_x", ""},
		{"a live key", "sk_" + "live_x", "whsec_x", "takes no other"},
		{"no key at all", "hello", "whsec_x", "takes no other"},
		{"webhooks that nobody signs", "sk_" + "test_x", "", "stripe listen"},
	} {
		keys, err := stack.StripeOf(func(name string) string {
			return map[string]string{"STRIPE_SECRET_KEY": c.key, "STRIPE_WEBHOOK_SECRET": c.webhook}[name]
		})
		if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) || (err == nil && keys.Key != c.key) {
			t.Errorf("%s: %+v, %v", c.why, keys, err)
		}
		if err != nil && c.key != "" && strings.Contains(err.Error(), c.key) {
			t.Errorf("%s: the error quotes the key", c.why)
		}
	}
}
