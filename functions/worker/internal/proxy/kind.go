package proxy

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
)

// kind is what sets a family of providers apart on the wire.
type kind struct {
	asks      *regexp.Regexp // paths of POST
	reads     *regexp.Regexp // paths of GET
	authorize func(h http.Header, key string)
	problem   func(status int, text string) []byte
}

// kinds by the provider's name. The paths are all that the agents call.
var kinds = map[string]kind{
	"anthropic": anthropic,
	"gemini":    gemini,
	"openai":    openAI,
	"xai":       openAI,
	"deepseek":  openAI,
}

var anthropic = kind{
	asks:      regexp.MustCompile(`^/v1/messages(/count_tokens)?$`),
	reads:     regexp.MustCompile(`^/v1/models(/[A-Za-z0-9._:-]+)?$`),
	authorize: func(h http.Header, key string) { h.Set("X-Api-Key", key) },
	problem: func(status int, text string) []byte {
		return encode(map[string]any{"type": "error", "error": map[string]any{"type": errorType(status), "message": text}})
	},
}

var gemini = kind{
	asks:      regexp.MustCompile(`^/v1(alpha|beta)?/models/[A-Za-z0-9._-]+:(generateContent|streamGenerateContent|countTokens)$`),
	reads:     regexp.MustCompile(`^/v1(alpha|beta)?/models(/[A-Za-z0-9._-]+)?$`),
	authorize: func(h http.Header, key string) { h.Set("X-Goog-Api-Key", key) },
	problem: func(status int, text string) []byte {
		return encode(map[string]any{"error": map[string]any{"code": status, "message": text, "status": "FAILED_PRECONDITION"}})
	},
}

var openAI = kind{
	asks:      regexp.MustCompile(`^(/v1)?/(responses|chat/completions)$`),
	reads:     regexp.MustCompile(`^(/v1)?/models(/[A-Za-z0-9._:-]+)?$`),
	authorize: func(h http.Header, key string) { h.Set("Authorization", "Bearer "+key) },
	problem: func(status int, text string) []byte {
		return encode(map[string]any{"error": map[string]any{"type": errorType(status), "message": text, "code": nil}})
	},
}

func errorType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusBadGateway:
		return "api_error"
	default:
		return "invalid_request_error"
	}
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil { // maps of strings and numbers always encode
		panic(err)
	}
	return data
}

// allows tells whether a call may pass. The path is matched as it was sent, so
// that nothing hides behind an escape.
func (k kind) allows(method string, u *url.URL) bool {
	switch method {
	case http.MethodPost:
		return k.asks.MatchString(u.EscapedPath())
	case http.MethodGet, http.MethodHead:
		return k.reads.MatchString(u.EscapedPath())
	}
	return false
}

var modelInPath = regexp.MustCompile(`/models/([A-Za-z0-9._-]+):`)

// inspect returns which model a request asks, if it says, and the body to send:
// streamed chat completions tell their tokens only on request.
func (k kind) inspect(r *http.Request, body []byte) (send []byte, model string) {
	if m := modelInPath.FindStringSubmatch(r.URL.Path); m != nil {
		return body, m[1]
	}
	if r.Header.Get("Content-Encoding") != "" {
		return body, ""
	}
	var asked struct {
		Model   string `json:"model"`
		Stream  bool   `json:"stream"`
		Options struct {
			Usage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if json.Unmarshal(body, &asked) != nil {
		return body, ""
	}
	if !asked.Stream || asked.Options.Usage || !bytes.HasSuffix([]byte(r.URL.Path), []byte("/chat/completions")) {
		return body, asked.Model
	}
	var whole map[string]json.RawMessage
	if json.Unmarshal(body, &whole) != nil {
		return body, asked.Model
	}
	options := map[string]json.RawMessage{}
	_ = json.Unmarshal(whole["stream_options"], &options) // absent or null: none yet
	if options == nil {
		options = map[string]json.RawMessage{}
	}
	options["include_usage"] = json.RawMessage("true")
	whole["stream_options"] = encode(options)
	return encode(whole), asked.Model
}
