package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"

	"outpost/shared/agent"
)

// answer is the part of a provider's answer, or of one event of a streamed
// one, that counts tokens or tells an error: of all providers at once, since
// their names do not clash.
type answer struct {
	Type  string `json:"type"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
	Usage    *usage  `json:"usage"`
	Message  *nested `json:"message"`  // Anthropic: message_start
	Response *nested `json:"response"` // OpenAI: response.completed, response.failed
	Gemini   *struct {
		Prompt     int64 `json:"promptTokenCount"`
		Cached     int64 `json:"cachedContentTokenCount"`
		Candidates int64 `json:"candidatesTokenCount"`
		Thoughts   int64 `json:"thoughtsTokenCount"`
	} `json:"usageMetadata"`
}

type nested struct {
	Usage *usage `json:"usage"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// usage holds the counts as Anthropic, OpenAI's responses, and chat completions
// name them. What an event does not tell stays nil.
type usage struct {
	Input       *int64 `json:"input_tokens"`
	Output      *int64 `json:"output_tokens"`
	CacheRead   *int64 `json:"cache_read_input_tokens"`
	CacheWrite  *int64 `json:"cache_creation_input_tokens"`
	InputDetail *struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"input_tokens_details"`

	Prompt       *int64 `json:"prompt_tokens"`
	Completion   *int64 `json:"completion_tokens"`
	Total        *int64 `json:"total_tokens"`
	PromptDetail *struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// counts are the latest counts of one answer. Providers repeat them, growing.
type counts struct {
	input, cacheRead, cacheWrite, cached, output int64
	cacheApart                                   bool // cached input is not part of input
}

func (c *counts) take(u *usage) {
	if u == nil {
		return
	}
	set := func(to *int64, from *int64) {
		if from != nil {
			*to = *from
		}
	}
	set(&c.input, u.Input)
	set(&c.output, u.Output)
	if u.CacheRead != nil || u.CacheWrite != nil {
		c.cacheApart = true
		set(&c.cacheRead, u.CacheRead)
		set(&c.cacheWrite, u.CacheWrite)
	}
	if u.InputDetail != nil {
		c.cached = u.InputDetail.Cached
	}
	set(&c.input, u.Prompt)
	set(&c.output, u.Completion)
	if u.PromptDetail != nil {
		c.cached = u.PromptDetail.Cached
	}
	// Some leave the tokens of reasoning out of completion_tokens.
	if u.Total != nil && u.Prompt != nil {
		c.output = max(c.output, *u.Total-*u.Prompt)
	}
}

// usage is what the counts come to.
func (c *counts) usage() agent.Usage {
	u := agent.Usage{InputTokens: c.input, CachedInputTokens: c.cached, OutputTokens: c.output}
	if c.cacheApart {
		u.InputTokens += c.cacheRead + c.cacheWrite
		u.CachedInputTokens = c.cacheRead
	}
	return u
}

// maxParsed is the longest answer, or event of one, that is looked into, in
// bytes. A longer one passes uncounted.
const maxParsed = 16 << 20

// watched is the body of an answer that is counted while it passes.
type watched struct {
	io.ReadCloser
	meter    *meter
	call     context.Context // ends when the agent hangs up
	model    string
	streamed bool   // server-sent events
	rest     []byte // not looked into yet
	skip     bool   // the current event is too long
	counts   counts
	failure  string // an error that the answer told
	ended    bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.look(p[:n])
	switch {
	case err != nil && err != io.EOF && w.call.Err() != nil:
		w.end(nil) // it is the agent that cut it off: some do once they have what they need
	case err != nil:
		w.end(err)
	}
	return n, err
}

func (w *watched) Close() error {
	w.end(nil)
	return w.ReadCloser.Close()
}

// look takes bytes that pass.
func (w *watched) look(p []byte) {
	if !w.streamed {
		if len(w.rest)+len(p) > maxParsed {
			w.skip, w.rest = true, nil
		}
		if !w.skip {
			w.rest = append(w.rest, p...)
		}
		return
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		if len(w.rest)+len(part) > maxParsed {
			w.skip, w.rest = true, w.rest[:0]
		}
		if !w.skip {
			w.rest = append(w.rest, part...)
		}
		if i < 0 {
			return
		}
		w.line(w.rest)
		w.rest, w.skip, p = w.rest[:0], false, p[i+1:]
	}
}

// line takes a line of an event stream.
func (w *watched) line(line []byte) {
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok || (!bytes.Contains(data, []byte(`"usage`)) && !bytes.Contains(data, []byte(`"error"`))) {
		return
	}
	var a answer
	if json.Unmarshal(data, &a) == nil {
		w.take(a)
	}
}

func (w *watched) take(a answer) {
	w.counts.take(a.Usage)
	for _, n := range []*nested{a.Message, a.Response} {
		if n != nil {
			w.counts.take(n.Usage)
			if n.Error != nil {
				w.failure = n.Error.Message
			}
		}
	}
	if g := a.Gemini; g != nil {
		w.counts = counts{input: g.Prompt, cached: g.Cached, output: g.Candidates + g.Thoughts}
	}
	if a.Error != nil {
		w.failure = a.Error.Message
	}
	w.meter.progress(w)
}

// end takes the end of the answer: io.EOF when it was whole, nil when the
// agent hung up.
func (w *watched) end(err error) {
	if w.ended {
		return
	}
	w.ended = true
	if !w.streamed && !w.skip {
		w.whole(w.rest)
	} else if len(w.rest) > 0 && !w.skip {
		w.line(w.rest)
	}
	w.rest = nil
	switch {
	case err != nil && err != io.EOF:
		w.meter.failed(w, "the answer was cut off")
	case w.failure != "":
		w.meter.failed(w, w.failure)
	default:
		w.meter.served(w)
	}
}

// whole takes a plain answer: an object, or an array of what would have been
// events.
func (w *watched) whole(body []byte) {
	var one answer
	if json.Unmarshal(body, &one) == nil {
		w.take(one)
		return
	}
	var many []answer
	if json.Unmarshal(body, &many) == nil {
		for _, a := range many {
			w.take(a)
		}
	}
}

// message is what a provider's error says, on one line, or "".
func message(body []byte) string {
	var a answer
	if json.Unmarshal(body, &a) == nil && a.Error != nil {
		return a.Error.Message
	}
	var plain struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &plain) == nil && plain.Error+plain.Message != "" {
		return strings.TrimSpace(plain.Error + " " + plain.Message)
	}
	return ""
}
