// Package agent is the one registry of coding agents. API, workers, the CDK
// app, the client and the docs read an agent's facts from its row here and from
// nowhere else; how its CLI is driven is the worker's business.
package agent

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Agent is a row of the registry.
type Agent struct {
	Name    string // what tenants write: claude, codex, gemini, grok or aider
	Title   string // what people read
	Package string // in its ecosystem; the version comes from the lock file
	// DefaultModel is used when a task names none.
	DefaultModel string
	// Provider of each model, by the model's prefix; the first match counts.
	Models []ModelFamily
	// CPU and MemoryMB size the agent's container, in Fargate's units.
	CPU      int // 1024 is one vCPU
	MemoryMB int
	MaxTurns int // cap on the agent's turns, where its CLI knows one
}

// ModelFamily says which models an agent accepts and whose they are.
type ModelFamily struct {
	Prefix   string
	Provider string // name of a row of Providers
}

// Provider is where a model is asked.
type Provider struct {
	Name    string
	BaseURL string // of the provider's own API
	Secret  string // name of the tenant's secret that holds the key
}

var providers = []Provider{
	{Name: "anthropic", BaseURL: "https://api.anthropic.com", Secret: "ANTHROPIC_API_KEY"},
	{Name: "openai", BaseURL: "https://api.openai.com", Secret: "OPENAI_API_KEY"},
	{Name: "gemini", BaseURL: "https://generativelanguage.googleapis.com", Secret: "GEMINI_API_KEY"},
	{Name: "xai", BaseURL: "https://api.x.ai", Secret: "XAI_API_KEY"},
	{Name: "deepseek", BaseURL: "https://api.deepseek.com", Secret: "DEEPSEEK_API_KEY"},
}

var registry = []Agent{
	{Name: "claude", Title: "Claude Code", Package: "@anthropic-ai/claude-code", DefaultModel: "claude-sonnet-5-5",
		Models: []ModelFamily{{"claude-", "anthropic"}}, CPU: 1024, MemoryMB: 2048, MaxTurns: 100},
	{Name: "codex", Title: "Codex", Package: "@openai/codex", DefaultModel: "gpt-6.1-sol",
		Models: []ModelFamily{{"gpt-", "openai"}, {"o", "openai"}}, CPU: 1024, MemoryMB: 2048, MaxTurns: 100},
	{Name: "gemini", Title: "Gemini CLI", Package: "@google/gemini-cli", DefaultModel: "gemini-2.5-pro",
		Models: []ModelFamily{{"gemini-", "gemini"}}, CPU: 1024, MemoryMB: 2048, MaxTurns: 100},
	{Name: "grok", Title: "Grok", Package: "@xai-official/grok", DefaultModel: "grok-4.6",
		Models: []ModelFamily{{"grok-", "xai"}}, CPU: 1024, MemoryMB: 2048, MaxTurns: 100},
	{Name: "aider", Title: "Aider", Package: "aider-chat", DefaultModel: "gpt-5",
		Models: []ModelFamily{{"gpt-", "openai"}, {"o", "openai"}, {"deepseek-", "deepseek"}}, CPU: 1024, MemoryMB: 2048, MaxTurns: 100},
}

// All returns every agent. The caller may keep the slice.
func All() []Agent { return slices.Clone(registry) }

// Names returns every agent's name.
func Names() []string {
	names := make([]string, len(registry))
	for i, a := range registry {
		names[i] = a.Name
	}
	return names
}

// Lookup returns the agent of a name, and whether there is one.
func Lookup(name string) (Agent, bool) {
	for _, a := range registry {
		if a.Name == name {
			return a, true
		}
	}
	return Agent{}, false
}

// Providers returns every provider.
func Providers() []Provider { return slices.Clone(providers) }

// modelShape keeps model names harmless as an argument and in a config file.
var modelShape = regexp.MustCompile(`^[a-z0-9][a-z0-9._:-]{0,63}$`)

// Provider returns who serves a model for this agent. An error says what is
// wrong with the model: its shape, or that this agent cannot use it.
func (a Agent) Provider(model string) (Provider, error) {
	if !modelShape.MatchString(model) {
		return Provider{}, fmt.Errorf("a model's name is up to 64 lower-case letters, digits and ._:-")
	}
	for _, f := range a.Models {
		if !strings.HasPrefix(model, f.Prefix) {
			continue
		}
		for _, p := range providers {
			if p.Name == f.Provider {
				return p, nil
			}
		}
	}
	return Provider{}, fmt.Errorf("%s cannot use the model %s", a.Name, model)
}

// Secrets lists the names of the secrets that the agent may need, the one of
// its default model first.
func (a Agent) Secrets() []string {
	var names []string
	for _, f := range a.Models {
		for _, p := range providers {
			if p.Name == f.Provider && !slices.Contains(names, p.Secret) {
				names = append(names, p.Secret)
			}
		}
	}
	return names
}
