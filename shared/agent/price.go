package agent

import "regexp"

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

// price is a row of list prices in USD per million tokens, of one model.
type price struct {
	model                 string
	input, cached, output float64
}

// prices are the providers' public list prices as known on 2026-11-23, at the
// rate for prompts of up to 200,000 tokens. They serve for estimates: what a
// tenant pays is on the provider's invoice.
var prices = []price{
	{"claude-opus-5-5", 4, 0.2, 20},
	{"claude-opus-5", 5, 0.5, 25},
	{"claude-opus-4-6", 5, 0.5, 25},
	{"claude-opus-4-5", 5, 0.5, 25},
	{"claude-sonnet-5-5", 2, 0.1, 10},
	{"claude-sonnet-5", 2, 0.2, 10},
	{"claude-sonnet-4-6", 3, 0.3, 15},
	{"claude-sonnet-4-5", 3, 0.3, 15},
	{"claude-haiku-5-5", 0.1, 0.01, 0.5},
	{"claude-haiku-4-5", 1, 0.1, 5},
	{"gpt-6.1-sol", 2, 0.1, 10},
	{"gpt-6.1-terra", 1, 0.05, 5},
	{"gpt-6-sol", 2, 0.2, 10},
	{"gpt-6-luna", 0.1, 0.01, 0.5},
	{"gpt-5.2", 1.75, 0.175, 14},
	{"gpt-5.1", 1.25, 0.125, 10},
	{"gpt-5", 1.25, 0.125, 10},
	{"gpt-5-mini", 0.25, 0.025, 2},
	{"gpt-5-nano", 0.05, 0.005, 0.4},
	{"gpt-4.1", 2, 0.5, 8},
	{"o3", 2, 0.5, 8},
	{"o4-mini", 1.1, 0.275, 4.4},
	{"gemini-3.1-pro-preview", 2, 0.2, 12},
	{"gemini-3-flash-preview", 0.5, 0.05, 3},
	{"gemini-2.5-pro", 1.25, 0.125, 10},
	{"gemini-2.5-flash", 0.3, 0.03, 2.5},
	{"grok-4.7", 2, 0.5, 6},
	{"grok-4.6", 2, 0.5, 6},
	{"grok-4.5", 2, 0.5, 6},
	{"deepseek-chat", 0.28, 0.028, 0.42},
	{"deepseek-reasoner", 0.28, 0.028, 0.42},
}

// dated is what a provider adds to a model's name to pin one version of it.
var dated = regexp.MustCompile(`-(20\d{2}-?\d{2}-?\d{2}|latest)$`)

// Cost returns what a usage costs at list price, in USD, and whether the
// model's price is known. An unknown price is not zero, and not that of a model
// whose name is much like it.
func Cost(model string, u Usage) (usd float64, known bool) {
	model = dated.ReplaceAllString(model, "")
	for _, p := range prices {
		if p.model == model {
			fresh := float64(u.InputTokens - u.CachedInputTokens)
			return (fresh*p.input + float64(u.CachedInputTokens)*p.cached + float64(u.OutputTokens)*p.output) / 1e6, true
		}
	}
	return 0, false
}
