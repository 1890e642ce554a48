package adapter_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"outpost/functions/worker/internal/adapter"
	"outpost/shared/agent"
	"outpost/shared/task"
)

// replay gives a reader a CLI's output in pieces of a size.
func replay(agentName string, stdout []byte, size, exit int) ([]adapter.Event, adapter.Summary) {
	var events []adapter.Event
	r := adapter.NewReader(agentName, func(e adapter.Event) { events = append(events, e) })
	for piece := range slices.Chunk(stdout, size) {
		r.Stdout().Write(piece)
	}
	return events, r.Summary(exit)
}

func sample(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatTheRecordedOutputsSay(t *testing.T) {
	usage := func(input, cached, output int64) agent.Usage {
		return agent.Usage{InputTokens: input, CachedInputTokens: cached, OutputTokens: output}
	}
	for _, c := range []struct {
		sample string
		exit   int
		want   adapter.Summary // ErrorText: a part of it; FinalMessage: its end
		why    string
	}{
		{"claude-fix-bug", 0, adapter.Summary{Finished: true, Usage: usage(14100, 6900, 268)}, "cache reads are not in input_tokens"},
		{"codex-fix-bug", 0, adapter.Summary{Finished: true, Usage: usage(22650, 13000, 614)}, "cache reads are in input_tokens"},
		{"gemini-fix-bug", 0, adapter.Summary{Finished: true, Usage: usage(14100, 6900, 284)}, "cache reads are in input_tokens"},
		{"grok-fix-bug", 0, adapter.Summary{Finished: true, Usage: usage(13300, 6900, 272)}, "cache reads are not in input_tokens"},
		{"aider-fix-bug", 0, adapter.Summary{Finished: true}, "aider tells no exact usage"},
		{"claude-error-401", 1, adapter.Summary{Finished: true, IsError: true, ErrorText: "401"}, `subtype is "success"`},
		{"codex-error-401", 1, adapter.Summary{IsError: true, ErrorText: "401"}, ""},
		{"gemini-error-401", 144, adapter.Summary{Finished: true, IsError: true, ErrorText: "scenario error-401"}, "a body within a text"},
		{"grok-error-401", 1, adapter.Summary{IsError: true, ErrorText: "401"}, ""},
		{"aider-error-401", 0, adapter.Summary{IsError: true, ErrorText: "error-401"}, "exit status 0"},
		{"claude-cut-stream", 1, adapter.Summary{Finished: true, IsError: true, ErrorText: "Connection"}, ""},
		{"codex-cut-stream", 1, adapter.Summary{IsError: true, ErrorText: "stream disconnected"}, ""},
		{"gemini-cut-stream", 1, adapter.Summary{Finished: true, IsError: true, ErrorText: "terminated"}, ""},
		{"claude-endless-loop", 1, adapter.Summary{Finished: true, IsError: true, TurnLimit: true, ErrorText: "limit of turns", Usage: usage(10050, 4300, 147)}, ""},
		{"gemini-endless-loop", 53, adapter.Summary{Finished: true, IsError: true, TurnLimit: true, ErrorText: "limit of turns", Usage: usage(10050, 4300, 147)}, ""},
		{"grok-endless-loop", 1, adapter.Summary{Finished: true, IsError: true, TurnLimit: true, ErrorText: "limit of turns", Usage: usage(9450, 4300, 147)}, ""},
	} {
		t.Run(c.sample, func(t *testing.T) {
			name, _, _ := strings.Cut(c.sample, "-")
			whole, got := replay(name, sample(t, c.sample), 1<<20, c.exit)
			if !strings.Contains(got.ErrorText, c.want.ErrorText) {
				t.Errorf("the error is %q, want %q in it", got.ErrorText, c.want.ErrorText)
			}
			if c.want.Finished && !c.want.IsError && !strings.HasSuffix(strings.Join(strings.Fields(got.FinalMessage), " "), "It is fixed.") {
				t.Errorf("the final message is %q", got.FinalMessage)
			}
			if (got.CostUSD != nil) != (name == "claude") {
				t.Errorf("cost is %v", got.CostUSD)
			}
			got.ErrorText, got.FinalMessage, got.CostUSD = c.want.ErrorText, "", nil
			if got != c.want {
				t.Errorf("summary %+v, want %+v (%s)", got, c.want, c.why)
			}
			pieces, _ := replay(name, sample(t, c.sample), 7, c.exit)
			if !slices.Equal(whole, pieces) {
				t.Error("the events depend on how the output was cut into writes")
			}
		})
	}
}

func TestAnOutputThatBreaksOffIsAnError(t *testing.T) {
	for _, name := range agent.Names() {
		full := sample(t, name+"-fix-bug")
		for _, part := range []int{0, len(full) / 3, len(full) / 2} {
			_, got := replay(name, full[:part], 4096, 0)
			if !got.IsError || got.ErrorText == "" || got.Finished {
				t.Errorf("%s, %d bytes and exit status 0: %+v", name, part, got)
			}
		}
	}
}

func TestLinesThatNoCLIShouldPrint(t *testing.T) {
	hostile := []string{
		"not JSON", "{", "null", "[]", "42", `"text"`, `{"type":7}`, `{"type":"result","usage":[]}`, `{"type":"assistant","message":null}`,
		`{"type":"assistant","message":{"content":[{"type":"tool_use","name":"x","input":"no object"}]}}`, `{"type":"end","usage":null}`,
		"\x00\xff\xfe", `{"type":"item.completed","item":null}`, strings.Repeat("[", 20000), `{"type":"result","status":null,"stats":{"input_tokens":"many"}}`,
	}
	for _, name := range agent.Names() {
		input := []byte(strings.Join(hostile, "\n") + "\n")
		input = append(input, sample(t, name+"-fix-bug")...)
		events, got := replay(name, input, 4096, 0)
		if !strings.Contains(strings.Join(strings.Fields(got.FinalMessage), " "), "It is fixed.") {
			t.Errorf("%s: what follows the malformed lines was lost: %+v", name, got)
		}
		if !slices.ContainsFunc(events, func(e adapter.Event) bool { return e.Kind == task.EventOutput && e.Text == "not JSON" }) {
			t.Errorf("%s: the malformed line is not in the log", name)
		}
		for _, e := range events {
			if !utf8.ValidString(e.Text) || len(e.Text) > task.MaxEventText || !slices.Contains(task.EventKinds, e.Kind) {
				t.Errorf("%s: event %s of %d bytes", name, e.Kind, len(e.Text))
			}
		}
	}
}

func TestALineWithoutAnEndIsBounded(t *testing.T) {
	var events []adapter.Event
	r := adapter.NewReader("claude", func(e adapter.Event) { events = append(events, e) })
	piece := bytes.Repeat([]byte("x"), 64<<10)
	for range 64 { // 4 MiB in one line
		r.Stdout().Write(piece)
	}
	r.Stdout().Write([]byte("\n" + `{"type":"result","subtype":"success","result":"done"}` + "\n"))
	if s := r.Summary(0); !s.Finished || s.IsError {
		t.Errorf("what follows the long line was lost: %+v", s)
	}
	if len(events) != 1 || len(events[0].Text) > task.MaxEventText || !strings.HasSuffix(events[0].Text, "…") {
		t.Errorf("%d events", len(events))
	}
}

func TestAnErrorOnStandardErrorExplainsAFailedExit(t *testing.T) {
	r := adapter.NewReader("grok", func(adapter.Event) {})
	r.Stderr().Write([]byte("Error: Not signed in.\nWarning: 256 colours\n"))
	if s := r.Summary(1); s.ErrorText != "Error: Not signed in." {
		t.Errorf("the error is %q", s.ErrorText)
	}
}
