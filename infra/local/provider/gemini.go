package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// gemini is the generateContent API (gemini).
type gemini struct{}

var geminiDir = regexp.MustCompile(`Workspace Directories:\*\*\n\s*- (/.*)`)

func (gemini) read(r *http.Request, body []byte) (*conversation, error) {
	model, method, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1beta/models/"), ":")
	if !ok || (method != "generateContent" && method != "streamGenerateContent") {
		return nil, fmt.Errorf("the scripted provider has no %s", r.URL.Path)
	}
	var req struct {
		Contents []struct {
			Role  string `json:"role"`
			Parts []struct {
				Text         string          `json:"text"`
				FunctionCall json.RawMessage `json:"functionCall"`
			} `json:"parts"`
		} `json:"contents"`
		Tools []struct {
			FunctionDeclarations []struct {
				Name string `json:"name"`
			} `json:"functionDeclarations"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("the body is no generateContent request: %w", err)
	}
	c := &conversation{agent: "gemini", model: model, stream: method == "streamGenerateContent"}
	for _, t := range req.Tools {
		for _, f := range t.FunctionDeclarations {
			c.tools = append(c.tools, f.Name)
		}
	}
	var user strings.Builder
	for _, content := range req.Contents {
		for _, p := range content.Parts {
			if len(p.FunctionCall) > 0 {
				c.turns++
			}
			if content.Role == "user" {
				user.WriteString(p.Text + "\n")
			}
		}
	}
	c.user = user.String()
	if m := geminiDir.FindStringSubmatch(c.user); m != nil {
		c.dir = m[1]
	}
	return c, nil
}

func (gemini) write(w *writer, c *conversation, a answer) {
	chunk := func(finish any, parts ...any) map[string]any {
		candidate := map[string]any{"index": 0, "content": map[string]any{"role": "model", "parts": parts}}
		if finish != nil {
			candidate["finishReason"] = finish
		}
		return map[string]any{
			"candidates": []any{candidate}, "modelVersion": c.model, "responseId": a.id,
			"usageMetadata": map[string]any{
				"promptTokenCount": a.input, "cachedContentTokenCount": a.cache,
				"candidatesTokenCount": a.out, "totalTokenCount": a.input + a.out,
			},
		}
	}
	text := map[string]any{"text": a.text}
	rest := []any{map[string]any{"text": ""}}
	if a.call != nil {
		rest = []any{map[string]any{"functionCall": map[string]any{"id": a.id, "name": a.call.tool, "args": a.call.input}}}
	}
	if !c.stream {
		w.json(chunk("STOP", append([]any{text}, rest...)...))
		return
	}
	w.event("", chunk(nil, text))
	w.event("", chunk("STOP", rest...))
}

func (gemini) fault(status int, message string) any {
	name := map[int]string{
		http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusTooManyRequests: "RESOURCE_EXHAUSTED",
		http.StatusInternalServerError: "INTERNAL", http.StatusNotFound: "NOT_FOUND",
	}[status]
	if name == "" {
		name = "INVALID_ARGUMENT"
	}
	return map[string]any{"error": map[string]any{"code": status, "message": message, "status": name}}
}
