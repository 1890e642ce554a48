package agent

import "strings"

// Usage counts tokens as the provider's answers report them.
type Usage struct {
	InputTokens       int64 `json:"input_tokens"`        // all input, cached ones included
	CachedInputTokens int64 `json:"cached_input_tokens"` // the part that was read from the provider's cache
	OutputTokens      int64 `json:"output_tokens"`
}

// Add returns the sum of two usages.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		InputTokens:       u.InputTokens + v.InputTokens,
		CachedInputTokens: u.CachedInputTokens + v.CachedInputTokens,
		OutputTokens:      u.OutputTokens + v.OutputTokens,
	}
}

// price is a row of list prices in USD per million tokens, for every model
// whose name starts with prefix; the longest match counts.
type price struct {
	prefix                string
	input, cached, output float64
}

// prices are the providers' public list prices as known on 2026-11-23. They
// serve for estimates: what a tenant pays is on the provider's invoice.
var prices = []price{
	{"claude-opus-4", 15, 1.5, 75},
	{"claude-sonnet-4", 3, 0.3, 15},
	{"claude-haiku-4", 1, 0.1, 5},
	{"gpt-5", 1.25, 0.125, 10},
	{"gpt-5-mini", 0.25, 0.025, 2},
	{"gpt-4.1", 2, 0.5, 8},
	{"o3", 2, 0.5, 8},
	{"o4-mini", 1.1, 0.275, 4.4},
	{"gemini-2.5-pro", 1.25, 0.31, 10},
	{"gemini-2.5-flash", 0.3, 0.075, 2.5},
	{"grok-4", 3, 0.75, 15},
	{"grok-code-fast", 0.2, 0.02, 1.5},
	{"deepseek-", 0.28, 0.028, 0.42},
}

// Cost returns what a usage costs at list price, in USD, and whether the
// model's price is known. An unknown price is not zero.
func Cost(model string, u Usage) (usd float64, known bool) {
	var best price
	for _, p := range prices {
		if strings.HasPrefix(model, p.prefix) && len(p.prefix) > len(best.prefix) {
			best = p
		}
	}
	if best.prefix == "" {
		return 0, false
	}
	fresh := float64(u.InputTokens - u.CachedInputTokens)
	return (fresh*best.input + float64(u.CachedInputTokens)*best.cached + float64(u.OutputTokens)*best.output) / 1e6, true
}
