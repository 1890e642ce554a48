package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// openAI is what OpenAI's two APIs have in common.
type openAI struct{}

func (openAI) fault(status int, message string) any {
	kind, code := "invalid_request_error", any(nil)
	switch status {
	case http.StatusUnauthorized:
		code = "invalid_api_key"
	case http.StatusTooManyRequests:
		kind, code = "requests", "rate_limit_exceeded"
	case http.StatusInternalServerError:
		kind = "server_error"
	}
	return map[string]any{"error": map[string]any{"message": message, "type": kind, "param": nil, "code": code}}
}

// responses is the responses API (codex, and grok with its newer models).
type responses struct{ openAI }

var codexDir = regexp.MustCompile(`<cwd>(/[^<]*)</cwd>`)

func (responses) read(_ *http.Request, body []byte) (*conversation, error) {
	var req struct {
		Model  string          `json:"model"`
		Stream bool            `json:"stream"`
		Input  json.RawMessage `json:"input"`
		Tools  []responsesTool `json:"tools"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("the body is no responses request: %w", err)
	}
	c := &conversation{agent: "codex", model: req.Model, stream: req.Stream, tools: toolNames(req.Tools)}
	if strings.HasPrefix(req.Model, "grok") {
		c.agent = "grok"
	}
	var text string
	if json.Unmarshal(req.Input, &text) == nil {
		c.user = text
		return c, nil
	}
	var items []struct {
		Type    string          `json:"type"`
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
		Tools   []responsesTool `json:"tools"` // of additional_tools
	}
	if err := json.Unmarshal(req.Input, &items); err != nil {
		return nil, fmt.Errorf("input is neither a text nor a list: %w", err)
	}
	var user strings.Builder
	for _, item := range items {
		switch {
		case item.Type == "function_call" || item.Type == "custom_tool_call":
			c.turns++
		case item.Type == "additional_tools":
			c.tools = append(c.tools, toolNames(item.Tools)...)
		case item.Role == "user":
			list, err := parts(item.Content)
			if err != nil {
				return nil, err
			}
			for _, p := range list {
				user.WriteString(p.Text + "\n")
			}
		}
	}
	c.user = user.String()
	for _, pattern := range []*regexp.Regexp{codexDir, grokDir} {
		if m := pattern.FindStringSubmatch(c.user); m != nil {
			c.dir = m[1]
		}
	}
	return c, nil
}

// responsesTool is a tool, or a namespace that holds some.
type responsesTool struct {
	Type  string          `json:"type"`
	Name  string          `json:"name"`
	Tools []responsesTool `json:"tools"`
}

// toolNames lists the tools themselves and those of the namespace "functions".
func toolNames(tools []responsesTool) []string {
	var names []string
	for _, t := range tools {
		switch {
		case t.Type == "function" || t.Type == "custom":
			names = append(names, t.Name)
		case t.Type == "namespace" && t.Name == "functions":
			names = append(names, toolNames(t.Tools)...)
		}
	}
	return names
}

func (responses) write(w *writer, c *conversation, a answer) {
	output := []any{map[string]any{
		"type": "message", "id": "msg_" + a.id, "role": "assistant", "status": "completed",
		"content": []any{map[string]any{"type": "output_text", "text": a.text, "annotations": []any{}}},
	}}
	switch {
	case a.call == nil:
	case a.call.input == nil:
		output = append(output, map[string]any{
			"type": "custom_tool_call", "id": "ctc_" + a.id, "call_id": "call_" + a.id, "status": "completed",
			"name": a.call.tool, "input": a.call.freely,
		})
	default:
		output = append(output, map[string]any{
			"type": "function_call", "id": "fc_" + a.id, "call_id": "call_" + a.id, "status": "completed",
			"name": a.call.tool, "arguments": a.call.arguments(),
		})
	}
	response := map[string]any{
		"id": "resp_" + a.id, "object": "response", "created_at": epoch, "model": c.model, "status": "completed", "output": output,
		"usage": map[string]any{
			"input_tokens": a.input, "input_tokens_details": map[string]any{"cached_tokens": a.cache},
			"output_tokens": a.out, "output_tokens_details": map[string]any{"reasoning_tokens": 0}, "total_tokens": a.input + a.out,
		},
	}
	if !c.stream {
		w.json(response)
		return
	}
	number := 0
	send := func(kind string, v map[string]any) {
		v["type"], v["sequence_number"] = kind, number
		number++
		w.event(kind, v)
	}
	send("response.created", map[string]any{"response": map[string]any{
		"id": "resp_" + a.id, "object": "response", "created_at": epoch, "model": c.model, "status": "in_progress", "output": []any{},
	}})
	for i, item := range output {
		send("response.output_item.added", map[string]any{"output_index": i, "item": item})
		send("response.output_item.done", map[string]any{"output_index": i, "item": item})
	}
	send("response.completed", map[string]any{"response": response})
}
