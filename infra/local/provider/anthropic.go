package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// anthropic is the messages API (claude).
type anthropic struct{}

// part is a part of a message; content may be a string or a list of parts.
type part struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// parts reads content that is a string or a list of parts.
func parts(raw json.RawMessage) ([]part, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []part{{Type: "text", Text: text}}, nil
	}
	var list []part
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("content is neither a text nor a list: %w", err)
	}
	return list, nil
}

var claudeDir = regexp.MustCompile(`(?m)^ ?-? ?(?:Primary w|W)orking directory: (/.*)$`)

func (anthropic) read(_ *http.Request, body []byte) (*conversation, error) {
	var req struct {
		Model    string `json:"model"`
		Stream   bool   `json:"stream"`
		Messages []struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		} `json:"messages"`
		System json.RawMessage `json:"system"`
		Tools  []struct {
			Name string `json:"name"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("the body is no messages request: %w", err)
	}
	c := &conversation{agent: "claude", model: req.Model, stream: req.Stream}
	for _, t := range req.Tools {
		c.tools = append(c.tools, t.Name)
	}
	var user strings.Builder
	for _, m := range req.Messages {
		list, err := parts(m.Content)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			switch {
			case m.Role == "assistant" && p.Type == "tool_use":
				c.turns++
			case m.Role == "user" && p.Type == "text":
				user.WriteString(p.Text + "\n")
			}
		}
	}
	c.user = user.String()
	system, err := parts(req.System)
	if err != nil {
		return nil, err
	}
	for _, p := range append(system, part{Text: c.user}) {
		if m := claudeDir.FindStringSubmatch(p.Text); m != nil && c.dir == "" {
			c.dir = m[1]
		}
	}
	return c, nil
}

func (anthropic) write(w *writer, c *conversation, a answer) {
	content := []any{map[string]any{"type": "text", "text": a.text}}
	stop := "end_turn"
	if a.call != nil {
		content = append(content, map[string]any{"type": "tool_use", "id": "toolu_" + a.id, "name": a.call.tool, "input": a.call.input})
		stop = "tool_use"
	}
	usage := map[string]any{
		"input_tokens": a.input - a.cache, "cache_read_input_tokens": a.cache,
		"cache_creation_input_tokens": 0, "output_tokens": a.out,
	}
	message := map[string]any{
		"id": "msg_" + a.id, "type": "message", "role": "assistant", "model": c.model,
		"content": content, "stop_reason": stop, "stop_sequence": nil, "usage": usage,
	}
	if !c.stream {
		w.json(message)
		return
	}
	send := func(kind string, v map[string]any) {
		v["type"] = kind
		w.event(kind, v)
	}
	message["content"], message["stop_reason"] = []any{}, nil
	send("message_start", map[string]any{"message": message})
	block := func(index int, start, delta map[string]any) {
		send("content_block_start", map[string]any{"index": index, "content_block": start})
		send("content_block_delta", map[string]any{"index": index, "delta": delta})
		send("content_block_stop", map[string]any{"index": index})
	}
	block(0, map[string]any{"type": "text", "text": ""}, map[string]any{"type": "text_delta", "text": a.text})
	if a.call != nil {
		block(1, map[string]any{"type": "tool_use", "id": "toolu_" + a.id, "name": a.call.tool, "input": map[string]any{}},
			map[string]any{"type": "input_json_delta", "partial_json": a.call.arguments()})
	}
	send("message_delta", map[string]any{"delta": map[string]any{"stop_reason": stop, "stop_sequence": nil}, "usage": usage})
	send("message_stop", map[string]any{})
}

func (anthropic) fault(status int, message string) any {
	kind := map[int]string{
		http.StatusUnauthorized: "authentication_error", http.StatusTooManyRequests: "rate_limit_error",
		http.StatusInternalServerError: "api_error", http.StatusNotFound: "not_found_error",
	}[status]
	if kind == "" {
		kind = "invalid_request_error"
	}
	return map[string]any{"type": "error", "error": map[string]any{"type": kind, "message": message}}
}
