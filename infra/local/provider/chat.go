package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// chat is the chat completions API (grok with its tools, aider with none).
type chat struct{ openAI }

var grokDir = regexp.MustCompile(`(?m)^Workspace Path: (/.*)$`)

func (chat) read(_ *http.Request, body []byte) (*conversation, error) {
	var req struct {
		Model    string `json:"model"`
		Stream   bool   `json:"stream"`
		Messages []struct {
			Role      string            `json:"role"`
			Content   json.RawMessage   `json:"content"`
			ToolCalls []json.RawMessage `json:"tool_calls"`
		} `json:"messages"`
		Tools []struct {
			Function struct {
				Name string `json:"name"`
			} `json:"function"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("the body is no chat completions request: %w", err)
	}
	c := &conversation{agent: "aider", model: req.Model, stream: req.Stream}
	if strings.HasPrefix(req.Model, "grok") {
		c.agent = "grok"
	}
	for _, t := range req.Tools {
		c.tools = append(c.tools, t.Function.Name)
	}
	var user strings.Builder
	for _, m := range req.Messages {
		c.turns += len(m.ToolCalls)
		if m.Role != "user" {
			continue
		}
		list, err := parts(m.Content)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			user.WriteString(p.Text + "\n")
		}
	}
	c.user = user.String()
	if m := grokDir.FindStringSubmatch(c.user); m != nil {
		c.dir = m[1]
	}
	return c, nil
}

func (chat) write(w *writer, c *conversation, a answer) {
	message := map[string]any{"role": "assistant", "content": a.text}
	finish := "stop"
	if a.call != nil {
		message["tool_calls"] = []any{map[string]any{
			"index": 0, "id": "call_" + a.id, "type": "function",
			"function": map[string]any{"name": a.call.tool, "arguments": a.call.arguments()},
		}}
		finish = "tool_calls"
	}
	usage := map[string]any{
		"prompt_tokens": a.input, "completion_tokens": a.out, "total_tokens": a.input + a.out,
		"prompt_tokens_details": map[string]any{"cached_tokens": a.cache},
	}
	envelope := func(object string, choices []any) map[string]any {
		return map[string]any{"id": "chatcmpl-" + a.id, "object": object, "created": epoch, "model": c.model, "choices": choices}
	}
	if !c.stream {
		whole := envelope("chat.completion", []any{map[string]any{"index": 0, "message": message, "finish_reason": finish}})
		whole["usage"] = usage
		w.json(whole)
		return
	}
	chunk := func(delta map[string]any, finish any) {
		w.event("", envelope("chat.completion.chunk", []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}}))
	}
	chunk(map[string]any{"role": "assistant", "content": a.text}, nil)
	if a.call != nil {
		chunk(map[string]any{"tool_calls": message["tool_calls"]}, nil)
	}
	chunk(map[string]any{}, finish)
	last := envelope("chat.completion.chunk", []any{})
	last["usage"] = usage
	w.event("", last)
	w.event("", "[DONE]")
}
