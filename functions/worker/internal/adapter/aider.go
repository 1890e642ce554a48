package adapter

import "strings"

// Aider would read the repository's .env and .aider.conf.yml and leave its own
// files there: each has a place in the session's home instead.
func aiderCommand(s Session, c *Command) {
	prompt, env, conf := s.home("prompt.txt"), s.home("env"), s.home("conf.yml")
	c.file(prompt, s.Prompt)
	c.file(env, "")
	c.file(conf, "{}\n")
	kind, keyName, base := "openai", "OPENAI_API_KEY", "OPENAI_API_BASE"
	if strings.HasPrefix(s.Model, "deepseek-") {
		kind, keyName, base = "deepseek", "DEEPSEEK_API_KEY", "DEEPSEEK_API_BASE"
	}
	c.args("--message-file", prompt, "--yes-always", "--no-auto-commits", "--no-dirty-commits", "--no-gitignore",
		"--no-check-update", "--no-show-release-notes", "--no-analytics", "--no-stream", "--no-pretty", "--no-suggest-shell-commands",
		"--env-file", env, "--config", conf, "--chat-history-file", s.home("chat.md"), "--input-history-file", s.home("input.txt"),
		"--model-settings-file", s.home("models.yml"), "--model-metadata-file", s.home("models.json"),
		"--model", kind+"/"+s.Model, "--weak-model", kind+"/"+s.Model)
	c.env(keyName+"="+s.Key, base+"="+s.BaseURL+"/v1", "LITELLM_LOCAL_MODEL_COST_MAP=True", "PYTHONUNBUFFERED=1")
}

func aiderLines(o *output) func([]byte) {
	return func(line []byte) { o.event("output", string(line)) }
}
