package agent_test

import (
	"math"
	"strings"
	"testing"

	"outpost/shared/agent"
)

func TestEveryAgentIsWhole(t *testing.T) {
	for _, a := range agent.All() {
		if a.Title == "" || a.Package == "" || a.CPU == 0 || a.MemoryMB == 0 || a.MaxTurns == 0 {
			t.Errorf("%s lacks a part", a.Name)
		}
		p, err := a.Provider(a.DefaultModel)
		if err != nil {
			t.Errorf("%s: its default model: %v", a.Name, err)
		}
		if a.Secrets()[0] != p.Secret {
			t.Errorf("%s: its first secret is %s, its default model needs %s", a.Name, a.Secrets()[0], p.Secret)
		}
		if _, known := agent.Cost(a.DefaultModel, agent.Usage{}); !known {
			t.Errorf("%s: the price of %s is not known", a.Name, a.DefaultModel)
		}
	}
}

func TestModelsThatAreRefused(t *testing.T) {
	claude, _ := agent.Lookup("claude")
	for _, c := range []struct{ model, why string }{
		{"", "empty"},
		{"gpt-5", "another provider's"},
		{"-claude", "would be read as a flag"},
		{"claude-$(id)", "a shell would run it"},
		{"claude-a\nb", "a line break"},
		{"claude-" + strings.Repeat("a", 64), "too long"},
	} {
		if _, err := claude.Provider(c.model); err == nil {
			t.Errorf("%q was accepted: %s", c.model, c.why)
		}
	}
}

func TestCost(t *testing.T) {
	u := agent.Usage{InputTokens: 1_000_000, CachedInputTokens: 400_000, OutputTokens: 100_000}
	want := 0.6*0.25 + 0.4*0.025 + 0.1*2
	for _, model := range []string{"gpt-5-mini", "gpt-5-mini-2025-08-07", "gpt-5-mini-20250807", "gpt-5-mini-latest"} {
		if got, known := agent.Cost(model, u); !known || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s costs %v (%v), want %v", model, got, known, want)
		}
	}
	for _, model := range []string{"llama-9", "gpt-5.5", "gpt-5-mini-pro", "gpt", ""} {
		if usd, known := agent.Cost(model, u); known || usd != 0 {
			t.Errorf("the price of %q is said to be known: %v", model, usd)
		}
	}
}
