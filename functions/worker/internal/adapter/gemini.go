package adapter

import (
	"encoding/json"
	"strings"

	"outpost/shared/agent"
	"outpost/shared/task"
)

// Key and base URL are always set: else gemini takes them from the
// repository's .env. A model is always named: else it asks another one which
// to use.
func geminiCommand(s Session, c *Command) {
	c.args("-m", s.Model, "--approval-mode", "yolo", "--skip-trust", "-o", "stream-json", "-p", "")
	c.env("GEMINI_CLI_HOME="+s.HomeDir, "GEMINI_API_KEY="+s.Key, "GOOGLE_GEMINI_BASE_URL="+s.BaseURL, "GEMINI_CLI_NO_RELAUNCH=1")
	settings, err := json.MarshalIndent(map[string]any{
		"security":  map[string]any{"auth": map[string]any{"selectedType": "gemini-api-key"}},
		"telemetry": map[string]any{"enabled": false},
		"privacy":   map[string]any{"usageStatisticsEnabled": false},
		"general":   map[string]any{"enableAutoUpdate": false, "enableAutoUpdateNotification": false, "maxAttempts": 2},
		"model":     map[string]any{"maxSessionTurns": s.MaxTurns},
	}, "", "  ")
	if err != nil {
		panic(err) // maps, texts and numbers
	}
	c.file(s.home(".gemini", "settings.json"), string(settings)+"\n")
	c.Stdin = s.Prompt
}

func geminiLines(o *output) func([]byte) {
	return func(line []byte) {
		var e struct {
			Type       string          `json:"type"`
			Role       string          `json:"role"`
			Content    string          `json:"content"`
			ToolName   string          `json:"tool_name"`
			Parameters json.RawMessage `json:"parameters"`
			Severity   string          `json:"severity"`
			Message    string          `json:"message"`
			Status     string          `json:"status"`
			Error      struct {
				Type    string `json:"type"`
				Message string `json:"message"`
			} `json:"error"`
			Stats struct {
				Input  int64 `json:"input_tokens"`
				Cached int64 `json:"cached"`
				Output int64 `json:"output_tokens"`
			} `json:"stats"`
		}
		if json.Unmarshal(line, &e) != nil {
			o.event(task.EventOutput, string(line))
			return
		}
		if e.Type == "message" && e.Role == "assistant" {
			o.piece(e.Content)
			return
		}
		o.endMessage()
		switch e.Type {
		case "tool_use":
			o.tool(e.ToolName, detail(e.Parameters))
		case "error": // a warning, or an error that result tells again
			o.event(task.EventError, e.Message)
		case "result":
			o.sum.Finished = true
			o.sum.Usage = agent.Usage{InputTokens: e.Stats.Input, CachedInputTokens: e.Stats.Cached, OutputTokens: e.Stats.Output}
			switch {
			case e.Error.Type == "FatalTurnLimitedError":
				o.sum.TurnLimit = true
			case e.Status != "success":
				inner, _ := strings.CutPrefix(e.Error.Message, "[API Error: ")
				o.fail(errorMessage(strings.TrimSuffix(inner, "]")))
			}
		}
	}
}
