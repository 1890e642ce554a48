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
	got, known := agent.Cost("gpt-5-mini-2026", u)
	if want := 0.6*0.25 + 0.4*0.025 + 0.1*2; !known || math.Abs(got-want) > 1e-9 {
		t.Errorf("cost is %v (%v), want %v by the longest matching row", got, known, want)
	}
	if _, known := agent.Cost("llama-9", u); known {
		t.Error("the price of an unknown model is known")
	}
}
