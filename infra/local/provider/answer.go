package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
)

// epoch stands for every point in time that an answer tells, in seconds.
const epoch = 1767225600

// answer is one answer of the provider.
type answer struct {
	text  string
	call  *call // nil ends the agent's work
	id    string
	input int // tokens, the cached ones included
	cache int
	out   int
}

// call is the use of one tool.
type call struct {
	tool   string
	input  map[string]any // nil for a tool that takes free text
	freely string
}

func (k *call) arguments() string {
	b, err := json.Marshal(k.input)
	if err != nil {
		panic(err) // maps of strings
	}
	return string(b)
}

// price gives an answer its id and its tokens. Both follow from the
// conversation alone, so the same run always reports the same usage.
func (c *conversation) price(a answer) answer {
	sum := sha256.Sum256([]byte(fmt.Sprint(c.agent, c.model, c.turns, a.text)))
	a.id = hex.EncodeToString(sum[:12])
	a.input = 2400 + 100*len(c.agent) + 350*c.turns
	if c.turns > 0 {
		a.cache = 2000 + 300*(c.turns-1)
	}
	a.out = 20 + len(a.text)/4
	if a.call != nil {
		arguments := a.call.freely + a.call.arguments()
		if c.dir != "" { // wherever the agent works
			arguments = strings.ReplaceAll(arguments, c.dir, "")
		}
		a.out += 15 + len(arguments)/4
	}
	return a
}

// call turns a step into the use of a tool that the agent has; nil when the
// step uses none, or the agent has none for it.
func (c *conversation) call(s step) *call {
	switch {
	case s.run != "":
		return c.shell(s.run)
	case s.read != "":
		return c.read(s.read)
	case len(s.edits) > 0:
		return c.write(s.edits[0].Path, s.edits[0].After)
	}
	return nil
}

func (c *conversation) has(tool string) bool { return slices.Contains(c.tools, tool) }

// file is a path as the agent's own tools want it: absolute, if the agent said
// where it works.
func (c *conversation) file(name string) string {
	if c.dir == "" || path.IsAbs(name) {
		return name
	}
	return path.Join(c.dir, name)
}

func (c *conversation) shell(command string) *call {
	switch {
	case c.has("Bash"):
		return &call{tool: "Bash", input: map[string]any{"command": command, "description": "Run a command"}}
	case c.has("exec_command"):
		return &call{tool: "exec_command", input: map[string]any{"cmd": command}}
	case c.scripts():
		return script("exec_command", map[string]any{"cmd": command})
	case c.has("run_shell_command"):
		return &call{tool: "run_shell_command", input: map[string]any{"command": command, "description": "Run a command"}}
	case c.has("run_terminal_command"):
		return &call{tool: "run_terminal_command", input: map[string]any{"command": command, "description": "Run a command"}}
	}
	return nil
}

func (c *conversation) read(name string) *call {
	switch {
	case c.has("Read"):
		return &call{tool: "Read", input: map[string]any{"file_path": c.file(name)}}
	case c.agent == "gemini" && c.has("read_file"):
		return &call{tool: "read_file", input: map[string]any{"file_path": c.file(name)}}
	case c.agent == "grok" && c.has("read_file"):
		return &call{tool: "read_file", input: map[string]any{"target_file": c.file(name)}}
	}
	return c.shell("cat " + quoted(name))
}

func (c *conversation) write(name, text string) *call {
	switch {
	case c.has("Write"):
		return &call{tool: "Write", input: map[string]any{"file_path": c.file(name), "content": text}}
	case c.has("write_file"):
		return &call{tool: "write_file", input: map[string]any{"file_path": c.file(name), "content": text}}
	case c.has("write"):
		return &call{tool: "write", input: map[string]any{"file_path": c.file(name), "content": text}}
	case c.has("apply_patch"):
		return &call{tool: "apply_patch", freely: patch(name, text)}
	case c.scripts():
		return script("apply_patch", patch(name, text))
	}
	return c.shell(fmt.Sprintf("mkdir -p %s && printf %%s %s > %s", quoted(path.Dir(name)), quoted(text), quoted(name)))
}

// scripts tells whether the agent has one tool that runs scripts, in which the
// others are functions (codex with its newer models).
func (c *conversation) scripts() bool { return c.agent == "codex" && c.has("exec") }

// script is the use of one function in a script.
func script(function string, argument any) *call {
	b, err := json.Marshal(argument)
	if err != nil {
		panic(err) // a text or a map of texts
	}
	return &call{tool: "exec", freely: fmt.Sprintf("text(await tools.%s(%s));", function, b)}
}

// patch is a whole file in codex's own format; it replaces a file that exists.
func patch(name, text string) string {
	return fmt.Sprintf("*** Begin Patch\n*** Add File: %s\n+%s\n*** End Patch",
		name, strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n+"))
}

// quoted is a word for the shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// writer sends an answer, and breaks the connection off where the scenario
// says so.
type writer struct {
	w      http.ResponseWriter
	cut    bool
	events int
}

// json sends a whole answer.
func (w *writer) json(v any) {
	if w.cut {
		panic(http.ErrAbortHandler)
	}
	sendJSON(w.w, http.StatusOK, v)
}

// event sends one server-sent event; an empty name sends the data alone.
func (w *writer) event(name string, v any) {
	if w.cut && w.events == 1 {
		panic(http.ErrAbortHandler)
	}
	if w.events == 0 {
		w.w.Header().Set("Content-Type", "text/event-stream")
	}
	w.events++
	data, isText := v.(string)
	if !isText {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // maps, strings and numbers
		}
		data = string(b)
	}
	if name != "" {
		fmt.Fprintf(w.w, "event: %s\n", name)
	}
	fmt.Fprintf(w.w, "data: %s\n\n", data)
	if f, ok := w.w.(http.Flusher); ok {
		f.Flush()
	}
}

func sendJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}
