package adapter

import (
	"strings"

	"outpost/shared/task"
)

// Aider leaves its own files in the repository unless each has another place,
// and it reads the repository's .env and .aider.conf.yml whatever it is told.
// The session's settings win over them only as flags or in the file that
// --env-file names, which is read last.
func aiderCommand(s Session, c *Command) {
	kind, keyName, baseName := "openai", "OPENAI_API_KEY", "OPENAI_API_BASE"
	if strings.HasPrefix(s.Model, "deepseek-") {
		kind, keyName, baseName = "deepseek", "DEEPSEEK_API_KEY", "DEEPSEEK_API_BASE"
	}
	base := baseName + "=" + s.BaseURL + "/v1"
	prompt, env, conf := s.home("prompt.txt"), s.home("env"), s.home("conf.yml")
	c.file(prompt, s.Prompt)
	c.file(env, keyName+"="+s.Key+"\n"+base+"\n")
	c.file(conf, "{}\n")
	// A list of models that is a day old is fetched anew, past the proxy.
	c.file(s.home(".aider", "caches", "model_prices_and_context_window.json"), `{"none": {}}`)
	c.args("--message-file", prompt, "--yes-always", "--no-auto-commits", "--no-dirty-commits", "--no-gitignore",
		"--no-check-update", "--no-show-release-notes", "--no-analytics", "--no-stream", "--no-pretty", "--no-suggest-shell-commands",
		"--env-file", env, "--config", conf, "--set-env", base,
		"--chat-history-file", s.home("chat.md"), "--input-history-file", s.home("input.txt"),
		"--model", kind+"/"+s.Model, "--weak-model", kind+"/"+s.Model)
	if kind == "openai" {
		c.args("--openai-api-base", s.BaseURL+"/v1")
	}
	c.env(keyName+"="+s.Key, base, "LITELLM_LOCAL_MODEL_COST_MAP=True", "PYTHONUNBUFFERED=1")
	c.Leaves = []string{".aider.tags.cache.v4"}
}

// aiderLines reads what aider prints for people: it has no other output, and
// exits with 0 on an API's fatal errors.
func aiderLines(o *output) func([]byte) {
	started, inEdit := false, false
	return func(raw []byte) {
		line := strings.TrimSpace(string(raw))
		switch {
		case strings.HasPrefix(line, "<<<<<<< SEARCH"):
			inEdit = true
		case strings.HasPrefix(line, ">>>>>>> REPLACE"):
			inEdit = false
		case inEdit, strings.HasPrefix(line, "```"): // the patch tells it
		case strings.HasPrefix(line, "Repo-map:"): // the last line of its greeting
			started = true
			o.event(task.EventOutput, line)
		case strings.HasPrefix(line, "Applied edit to "):
			o.tool("edit", strings.TrimPrefix(line, "Applied edit to "))
		case strings.HasPrefix(line, "Tokens: "): // an answer was received whole
			o.endMessage()
			o.sum.Finished, o.pending = true, ""
			o.event(task.EventOutput, line)
		case strings.HasPrefix(line, "litellm."):
			o.sum.Finished, o.pending = false, line
			o.event(task.EventError, line)
		case started && o.pending == "" && !o.sum.Finished:
			o.piece(line + "\n")
		default:
			o.event(task.EventOutput, line)
		}
	}
}
