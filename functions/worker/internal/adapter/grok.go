package adapter

import (
	"encoding/json"
	"strconv"

	"outpost/shared/agent"
	"outpost/shared/task"
)

// Grok would show its key to a second host as well: that one's address is a
// dead one.
func grokCommand(s Session, c *Command) {
	prompt := s.home("prompt.txt")
	c.file(prompt, s.Prompt)
	c.file(s.home(".grok", "config.toml"), `[models]
max_retries = 3 # of each request; eight by default

[features]
telemetry = false
feedback = false

[session]
load_envrc = false # it is the repository's
`)
	c.args("-m", s.Model, "--always-approve", "--no-subagents", "--disable-web-search",
		"--max-turns", strconv.Itoa(s.MaxTurns), "--output-format", "streaming-json", "--prompt-file", prompt)
	c.env("GROK_HOME="+s.home(".grok"), "XAI_API_KEY="+s.Key, "GROK_XAI_API_BASE_URL="+s.BaseURL+"/v1",
		"GROK_CLI_CHAT_PROXY_BASE_URL=http://127.0.0.1:9",
		"GROK_TURN_TRANSIENT_RETRY=0", // whole turns would be tried again for minutes
		"GROK_DISABLE_AUTOUPDATER=1", "GROK_TELEMETRY_ENABLED=0", "GROK_TELEMETRY_TRACE_UPLOAD=0", "GROK_FEEDBACK_ENABLED=0")
}

func grokLines(o *output) func([]byte) {
	return func(line []byte) {
		var e struct {
			Type       string          `json:"type"`
			Data       string          `json:"data"`
			Message    string          `json:"message"`
			ToolName   string          `json:"toolName"`
			RawInput   json.RawMessage `json:"rawInput"`
			StopReason string          `json:"stopReason"`
			Usage      struct {
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
		if e.Type == "text" {
			o.piece(e.Data)
			return
		}
		o.endMessage()
		switch e.Type {
		case "tool_call":
			o.tool(e.ToolName, detail(e.RawInput))
		case "error":
			o.fail(e.Message)
		case "max_turns_reached":
			o.sum.TurnLimit = true
		case "end":
			o.sum.Finished = true
			o.sum.Usage = agent.Usage{
				InputTokens:       e.Usage.Input + e.Usage.Created + e.Usage.Read,
				CachedInputTokens: e.Usage.Read,
				OutputTokens:      e.Usage.Output,
			}
		}
	}
}
