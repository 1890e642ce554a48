package adapter

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"outpost/shared/agent"
	"outpost/shared/task"
)

// Limits of what is kept of a CLI's output, in bytes.
const (
	maxLine  = 1 << 20 // of one line; the rest of a longer one is dropped
	maxError = 2 << 10 // of ErrorText
	maxFinal = 64 << 10
	// maxDetail is short: the transcript has the whole of it.
	maxDetail = 200
)

// Event is something that an agent did, for people to follow: its kind is one
// of task's, its text at most task.MaxEventText bytes.
type Event struct {
	Kind string
	Text string
}

// Summary is what a CLI's output says about its work.
type Summary struct {
	Usage        agent.Usage // zero when the CLI does not tell (aider)
	CostUSD      *float64    // nil when the CLI does not tell
	Finished     bool        // it reported the end of its work
	TurnLimit    bool        // it stopped at its cap on turns or on its budget
	IsError      bool        // it reported an error, did not finish, or exited with another status than 0
	ErrorText    string      // one line for people; empty unless IsError
	FinalMessage string      // the last thing the agent said
}

// Reader makes events of what a CLI prints, and a summary at the end. Its two
// writers may be used at once; events are emitted one at a time.
type Reader struct {
	// Dir, when set before the first write, is the agent's checkout: paths in it
	// are told relative to it.
	Dir string

	mu   sync.Mutex
	out  output
	std  lines
	errs lines
}

// NewReader returns a reader of an agent's output.
func NewReader(agentName string, emit func(Event)) *Reader {
	r := &Reader{out: output{emit: emit}}
	r.out.dir = &r.Dir
	read := func(line []byte) { r.out.event(task.EventOutput, string(line)) }
	if d, ok := drivers[agentName]; ok {
		read = d.lines(&r.out)
	}
	r.std = lines{mu: &r.mu, each: read}
	r.errs = lines{mu: &r.mu, each: r.out.complaint}
	return r
}

// Stdout is where the CLI's standard output goes.
func (r *Reader) Stdout() io.Writer { return &r.std }

// Stderr is where its standard error goes.
func (r *Reader) Stderr() io.Writer { return &r.errs }

// Summary returns what the output said, given the exit status (-1 when a
// signal ended the CLI). Nothing may be written after it.
func (r *Reader) Summary(exitCode int) Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.std.flush()
	r.errs.flush()
	r.out.endMessage()
	s := r.out.sum
	if s.ErrorText == "" {
		switch {
		case s.TurnLimit:
			s.ErrorText = "The agent stopped at its limit of turns."
		case !s.Finished && r.out.pending != "":
			s.ErrorText = r.out.pending
		case exitCode != 0 && r.out.lastComplaint != "":
			s.ErrorText = r.out.lastComplaint
		case exitCode < 0:
			s.ErrorText = "The agent was ended by a signal."
		case exitCode != 0:
			s.ErrorText = fmt.Sprintf("The agent exited with status %d.", exitCode)
		case !s.Finished:
			s.ErrorText = "The agent ended without a result."
		}
	}
	s.ErrorText = oneLine(s.ErrorText)
	s.IsError = s.ErrorText != ""
	return s
}

// output collects what the lines of one CLI say.
type output struct {
	emit          func(Event)
	dir           *string
	sum           Summary
	said          strings.Builder // of an answer that comes in pieces
	lastComplaint string          // the last line of standard error that is no warning
	pending       string          // an error that the CLI may still get over
}

func (o *output) event(kind, text string) {
	if text = strings.TrimSpace(text); text != "" {
		o.emit(Event{Kind: kind, Text: cut(text, task.MaxEventText)})
	}
}

// piece is a part of a message; endMessage tells that it is whole.
func (o *output) piece(text string) {
	if o.said.Len() < maxFinal {
		o.said.WriteString(text)
	}
}

func (o *output) endMessage() {
	o.message(o.said.String())
	o.said.Reset()
}

// message is something that the agent said.
func (o *output) message(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	o.sum.FinalMessage = cut(text, maxFinal)
	o.event(task.EventMessage, text)
}

// tool is a tool that the agent used; detail is what it was used on.
func (o *output) tool(name, detail string) {
	if *o.dir != "" {
		detail = strings.ReplaceAll(detail, *o.dir+"/", "")
	}
	detail = cut(oneLine(detail), maxDetail)
	if name != "" {
		o.event(task.EventTool, strings.TrimSpace(name+" "+detail))
	}
}

// fail records an error that ends the agent's work; the first one is the cause.
func (o *output) fail(text string) {
	if text = strings.TrimSpace(text); text == "" {
		text = "The agent reported an error without a text."
	}
	if o.sum.ErrorText == "" {
		o.sum.ErrorText = text
	}
	o.event(task.EventError, text)
}

// complaint is a line of standard error.
func (o *output) complaint(line []byte) {
	text := strings.TrimSpace(string(line))
	if text != "" && !strings.HasPrefix(strings.ToLower(text), "warning") {
		o.lastComplaint = text
	}
	o.event(task.EventOutput, text)
}

// lines cuts a stream into lines.
type lines struct {
	mu   *sync.Mutex
	each func(line []byte)
	buf  []byte
	skip bool // the rest of a line that was too long
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		whole := end >= 0
		if !whole {
			end = len(p)
		}
		if room := maxLine - len(l.buf); !l.skip {
			l.buf = append(l.buf, p[:min(end, room)]...)
			if end > room {
				l.flush()
				l.skip = true
			}
		}
		if !whole {
			break
		}
		l.flush()
		l.skip = false
		p = p[end+1:]
	}
	return n, nil
}

// flush hands over what there is of a line.
func (l *lines) flush() {
	if line := bytes.TrimRight(l.buf, "\r"); len(line) > 0 {
		l.each(line)
	}
	l.buf = l.buf[:0]
}

// cut shortens a text to at most n bytes of valid UTF-8 and marks the cut.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	const mark = " …"
	end := n - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

func oneLine(s string) string { return cut(strings.Join(strings.Fields(s), " "), maxError) }
