package provider

import (
	"net/http"
	"strings"
)

// failureOf is the scenario whose failure a key stands for, by how it begins.
func failureOf(key string) (name string, failing bool) {
	for _, name := range []string{Error401, Error429, Error500, Hang} {
		if strings.HasPrefix(key, name) {
			return name, true
		}
	}
	return "", false
}

// fail answers a key that stands for a failure, as its provider would.
func (p *Provider) fail(w http.ResponseWriter, r *http.Request, d dialect, name string) {
	play, key := scenarios[name], keyOf(r)
	switch {
	case play.hang:
		<-r.Context().Done()
	case play.status != http.StatusUnauthorized:
		sendJSON(w, play.status, d.fault(play.status, "scenario "+name))
	case r.URL.Path == "/v1/api-key": // xAI
		sendJSON(w, http.StatusBadRequest, map[string]any{"code": "Client specified an invalid argument", "error": "Incorrect API key provided: " + key})
	case strings.HasPrefix(r.URL.Path, "/v1beta/"): // Gemini
		sendJSON(w, http.StatusBadRequest, map[string]any{"error": map[string]any{"code": 400, "message": "API key not valid: " + key, "status": "INVALID_ARGUMENT",
			"details": []any{map[string]any{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}}}})
	default:
		sendJSON(w, play.status, d.fault(play.status, "Incorrect API key provided: "+key))
	}
}
