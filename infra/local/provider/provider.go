// Package provider is a scripted model provider: it answers the real agent CLIs
// over HTTP in the APIs they speak (Anthropic messages, OpenAI responses and
// chat completions, Gemini generateContent; plain and streamed), so that whole
// runs work with no account, no key and no network.
//
// No model is behind it. It plays a scenario, a fixed list of steps, and takes
// the next step from how many it finds in the conversation that each request
// carries; it keeps no state but counters and the last request, so any number of runs at
// once do not meet. The prompt chooses: "[scenario: wrong-fix]" for every agent,
// "[scenario claude: hang]" for one. Without a choice it solves the
// demonstration's task, writes the files that the prompt dictates in
// "[write path=NAME]…[/write]" blocks, or, asked anything else, leaves a note.
//
// Every key is a good one, but for those that begin with the name of a scenario in
// which a provider fails, as error-401-mine: such a key is answered by that failure,
// in the provider's own form, and an error about the key repeats it whole.
package provider

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// maxRequest bounds a request's body, in bytes.
const maxRequest = 32 << 20

// Provider is the scripted provider. The zero value takes any key.
type Provider struct {
	// Key is the one that requests must carry; empty takes any but none.
	Key string

	mu     sync.Mutex
	counts map[count]int
	last   map[string]string
}

type count struct{ agent, scenario string }

// Count returns how many requests for an answer an agent has made in a
// scenario; an empty agent or scenario counts all of them.
func (p *Provider) Count(agent, scenario string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for c, k := range p.counts {
		if (agent == "" || c.agent == agent) && (scenario == "" || c.scenario == scenario) {
			n += k
		}
	}
	return n
}

// Last returns the body of an agent's last request: what it told its provider.
func (p *Provider) Last(agent string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[agent]
}

func (p *Provider) add(agent, scenario string, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts == nil {
		p.counts, p.last = map[count]int{}, map[string]string{}
	}
	p.counts[count{agent, scenario}]++
	p.last[agent] = string(body)
}

// dialect is one provider's API.
type dialect interface {
	// read makes a conversation of a request.
	read(r *http.Request, body []byte) (*conversation, error)
	// write sends an answer, streamed if the conversation asks for it.
	write(w *writer, c *conversation, a answer)
	// fault is the body of an error in the API's own form.
	fault(status int, message string) any
}

// ServeHTTP answers one request.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := dialectOf(r)
	if d == nil {
		sendJSON(w, http.StatusNotFound, openAI{}.fault(http.StatusNotFound, "the scripted provider has no "+r.URL.Path))
		return
	}
	if key := keyOf(r); key == "" || (p.Key != "" && key != p.Key) {
		sendJSON(w, http.StatusUnauthorized, d.fault(http.StatusUnauthorized, "the key is missing or wrong"))
		return
	}
	if name, failing := failureOf(keyOf(r)); failing {
		p.fail(w, r, d, name)
		return
	}
	if r.Method == http.MethodGet {
		describe(w, r, d)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		sendJSON(w, status, d.fault(status, "the body could not be read"))
		return
	}
	c, err := d.read(r, body)
	if err != nil {
		sendJSON(w, http.StatusBadRequest, d.fault(http.StatusBadRequest, err.Error()))
		return
	}
	if strings.HasSuffix(r.URL.Path, "/count_tokens") {
		sendJSON(w, http.StatusOK, map[string]any{"input_tokens": len(body) / 4})
		return
	}
	name := c.scenario()
	p.add(c.agent, name, body)
	play := scenarios[name]
	switch {
	case play.status != 0:
		sendJSON(w, play.status, d.fault(play.status, fmt.Sprintf("scenario %s", name)))
	case play.hang:
		<-r.Context().Done()
	default:
		d.write(&writer{w: w, cut: play.cut}, c, c.next(play))
	}
}

// dialectOf returns the API that a request belongs to, nil for none.
func dialectOf(r *http.Request) dialect {
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/v1/messages"), path == "/v1/models" && r.Header.Get("X-Api-Key") != "":
		return anthropic{}
	case path == "/v1/responses":
		return responses{}
	case path == "/v1/chat/completions", path == "/chat/completions", path == "/v1/models", path == "/models", path == "/v1/api-key":
		return chat{}
	case strings.HasPrefix(path, "/v1beta/models"):
		return gemini{}
	}
	return nil
}

// keyOf returns the key that a request carries, wherever its API wants it.
func keyOf(r *http.Request) string {
	for _, header := range []string{"X-Api-Key", "X-Goog-Api-Key"} {
		if key := r.Header.Get(header); key != "" {
			return key
		}
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return bearer
	}
	return r.URL.Query().Get("key")
}

// describe answers the questions that CLIs ask before their first real one.
func describe(w http.ResponseWriter, r *http.Request, d dialect) {
	switch r.URL.Path {
	case "/v1beta/models":
		var models []any
		for _, id := range modelNames() {
			models = append(models, map[string]any{"name": "models/" + id, "displayName": id})
		}
		sendJSON(w, http.StatusOK, map[string]any{"models": models})
	case "/v1/models", "/models":
		var models []any
		for _, id := range modelNames() {
			models = append(models, map[string]any{"id": id, "object": "model", "type": "model", "created": epoch, "owned_by": "outpost"})
		}
		sendJSON(w, http.StatusOK, map[string]any{"object": "list", "data": models})
	case "/v1/api-key":
		sendJSON(w, http.StatusOK, map[string]any{
			"api_key_id": "scripted", "name": "scripted", "redacted_api_key": "scripted", "user_id": "scripted", "team_id": "scripted",
			"create_time": "2026-01-01T00:00:00Z", "modify_time": "2026-01-01T00:00:00Z", "modified_by": "scripted",
			"acls":         []string{"api-key:model:*", "api-key:endpoint:*"},
			"team_blocked": false, "api_key_blocked": false, "api_key_disabled": false,
		})
	default:
		sendJSON(w, http.StatusMethodNotAllowed, d.fault(http.StatusMethodNotAllowed, "only POST is known here"))
	}
}
