package adapter

import (
	"encoding/json"
	"strconv"

	"outpost/shared/agent"
	"outpost/shared/task"
)

// Only the user's settings count: a repository's .claude/settings.json could
// send the key elsewhere and run hooks. CLAUDE.md is then not read either; see
// Instructions.
func claudeCommand(s Session, c *Command) {
	c.args("-p", "--output-format", "stream-json", "--verbose",
		"--permission-mode", "bypassPermissions", "--setting-sources", "user", "--strict-mcp-config",
		"--no-session-persistence", "--model", s.Model, "--max-turns", strconv.Itoa(s.MaxTurns))
	if s.BudgetUSD > 0 {
		c.args("--max-budget-usd", strconv.FormatFloat(s.BudgetUSD, 'f', -1, 64))
	}
	c.env("CLAUDE_CONFIG_DIR="+s.home(".claude"), "ANTHROPIC_API_KEY="+s.Key, "ANTHROPIC_BASE_URL="+s.BaseURL,
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1", "DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1",
		"CLAUDE_CODE_MAX_RETRIES=2", // ten by default: three minutes until a bad key is told
		"IS_SANDBOX=1")              // lets root bypass permissions
	c.Stdin = s.Prompt
}

func claudeLines(o *output) func([]byte) {
	return func(line []byte) {
		var e struct {
			Type    string `json:"type"`
			Subtype string `json:"subtype"`
			Error   string `json:"error"` // of an assistant message that is no answer but an API error
			Message struct {
				Content json.RawMessage `json:"content"`
			} `json:"message"`
			IsError bool     `json:"is_error"`
			Result  string   `json:"result"`
			Errors  []string `json:"errors"`
			Cost    *float64 `json:"total_cost_usd"`
			Usage   struct {
				Input   int64 `json:"input_tokens"`
				Created int64 `json:"cache_creation_input_tokens"`
				Read    int64 `json:"cache_read_input_tokens"`
				Output  int64 `json:"output_tokens"`
			} `json:"usage"`
		}
		if json.Unmarshal(line, &e) != nil {
			o.event(task.EventOutput, string(line))
			return
		}
		switch e.Type {
		case "assistant":
			claudeContent(o, e.Message.Content, e.Error != "")
		case "result":
			o.sum.Finished, o.sum.CostUSD = true, e.Cost
			o.sum.Usage = agent.Usage{
				InputTokens:       e.Usage.Input + e.Usage.Created + e.Usage.Read,
				CachedInputTokens: e.Usage.Read,
				OutputTokens:      e.Usage.Output,
			}
			switch {
			case e.Subtype == "error_max_turns", e.Subtype == "error_max_budget_usd":
				o.sum.TurnLimit = true
			// An API error says subtype "success": only is_error counts.
			case e.IsError && e.Result != "":
				o.fail(e.Result)
			case e.IsError && len(e.Errors) > 0:
				o.fail(e.Errors[0])
			case e.IsError:
				o.fail(e.Subtype)
			}
		}
	}
}

func claudeContent(o *output, raw json.RawMessage, apiError bool) {
	var content []struct {
		Type  string          `json:"type"`
		Text  string          `json:"text"`
		Name  string          `json:"name"`
		Input json.RawMessage `json:"input"`
	}
	if json.Unmarshal(raw, &content) != nil {
		return
	}
	for _, part := range content {
		switch part.Type {
		case "text":
			if apiError {
				o.event(task.EventError, part.Text)
			} else {
				o.message(part.Text)
			}
		case "tool_use":
			o.tool(part.Name, detail(part.Input))
		}
	}
}

// detail is what a tool is used on, in one line: the argument that tells most.
func detail(arguments json.RawMessage) string {
	var known map[string]json.RawMessage
	if json.Unmarshal(arguments, &known) != nil {
		return ""
	}
	for _, name := range []string{"command", "cmd", "file_path", "target_file", "path", "pattern", "dir_path", "query", "url"} {
		var text string
		if json.Unmarshal(known[name], &text) == nil && text != "" {
			return text
		}
	}
	return ""
}
