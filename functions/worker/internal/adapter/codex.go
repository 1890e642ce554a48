package adapter

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"outpost/shared/agent"
	"outpost/shared/task"
)

// codexKey is the variable that codex takes its key from; any name will do.
const codexKey = "OUTPOST_PROVIDER_KEY"

// A provider of our own is named: with the built-in one codex ignores its base
// URL's variable and tries a WebSocket first. Codex knows no cap on turns.
func codexCommand(s Session, c *Command) {
	c.args("exec", "--json", "--ephemeral", "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check", "-m", s.Model, "-")
	c.env("CODEX_HOME="+s.home(".codex"), codexKey+"="+s.Key)
	c.file(s.home(".codex", "config.toml"), fmt.Sprintf(`model_provider = "outpost"
check_for_update_on_startup = false

[model_providers.outpost]
name = "outpost"
base_url = %s
env_key = %s
wire_api = "responses"
request_max_retries = 2
stream_max_retries = 2

[analytics]
enabled = false

[feedback]
enabled = false

[otel]
exporter = "none"

[features]
plugins = false
apps = false
remote_plugin = false
`, strconv.Quote(s.BaseURL+"/v1"), strconv.Quote(codexKey)))
	// Codex runs commands in a login shell, and /etc/profile may set another PATH.
	c.file(s.home(".bash_profile"), "export PATH="+shellWord(s.Path)+"\n")
	c.file(s.home(".profile"), "export PATH="+shellWord(s.Path)+"\n")
	c.Stdin = s.Prompt
}

// shellWord quotes a text for a shell's settings file.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func codexLines(o *output) func([]byte) {
	return func(line []byte) {
		var e struct {
			Type    string `json:"type"`
			Message string `json:"message"`
			Error   struct {
				Message string `json:"message"`
			} `json:"error"`
			Usage struct {
				Input  int64 `json:"input_tokens"`
				Cached int64 `json:"cached_input_tokens"`
				Output int64 `json:"output_tokens"`
			} `json:"usage"`
			Item struct {
				Type    string `json:"type"`
				Text    string `json:"text"`
				Message string `json:"message"`
				Command string `json:"command"`
				Changes []struct {
					Path string `json:"path"`
				} `json:"changes"`
			} `json:"item"`
		}
		if json.Unmarshal(line, &e) != nil {
			o.event(task.EventOutput, string(line))
			return
		}
		switch e.Type {
		case "item.started":
			if e.Item.Type == "command_execution" {
				o.tool("exec", e.Item.Command)
			}
		case "item.completed":
			switch e.Item.Type {
			case "agent_message":
				o.message(e.Item.Text)
			case "file_change":
				var paths []string
				for _, change := range e.Item.Changes {
					paths = append(paths, change.Path)
				}
				o.tool("apply_patch", strings.Join(paths, " "))
			case "error": // a warning: the turn goes on
				o.event(task.EventOutput, e.Item.Message)
			}
		case "error": // may be tried again: turn.failed tells the end
			o.event(task.EventError, errorMessage(e.Message))
		case "turn.failed":
			o.fail(errorMessage(e.Error.Message))
		case "turn.completed":
			o.sum.Finished = true
			o.sum.Usage = agent.Usage{InputTokens: e.Usage.Input, CachedInputTokens: e.Usage.Cached, OutputTokens: e.Usage.Output}
		}
	}
}

// errorMessage takes the message out of an API's error body, if the text is one.
func errorMessage(text string) string {
	var body struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(text), &body) == nil && body.Error.Message != "" {
		return body.Error.Message
	}
	return text
}
