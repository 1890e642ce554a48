package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// maxAnswer is how much of an answer is looked at, in bytes.
const maxAnswer = 1 << 20

// question is how a provider is asked whether it takes a key: by a read that
// costs nothing, as its API has it.
type question struct {
	path      string // with its query
	authorize func(h http.Header, key string)
	// refuses are statuses, beside 401 and 402, that say that the key is not taken;
	// where says is set, only with an answer for which it holds.
	refuses []int
	says    func(status int, body []byte) bool
	// judge looks at an answer of 200; nil wants a list of models.
	judge func(body []byte) verdict
}

var questions = map[string]question{
	"anthropic": {path: "/v1/models?limit=1", authorize: func(h http.Header, key string) {
		h.Set("X-Api-Key", key)
		h.Set("Anthropic-Version", "2023-06-01")
	}},
	"openai":   {path: "/v1/models", authorize: bearer},
	"deepseek": {path: "/models", authorize: bearer},
	// Gemini answers a wrong key with 400, which it has other uses for, and one that
	// is blocked, leaked or not for this API with 403.
	"gemini": {path: "/v1beta/models?pageSize=1", authorize: func(h http.Header, key string) { h.Set("X-Goog-Api-Key", key) },
		refuses: []int{http.StatusBadRequest, http.StatusForbidden}, says: geminiRefuses},
	// xAI answers a wrong key with 400, and tells of a good one whether it is
	// blocked.
	"xai": {path: "/v1/api-key", authorize: bearer, refuses: []int{http.StatusBadRequest, http.StatusForbidden}, judge: xaiKey},
}

func bearer(h http.Header, key string) { h.Set("Authorization", "Bearer "+key) }

// askProvider asks a provider at its base URL.
func askProvider(ctx context.Context, name, base, key string) verdict {
	q := questions[name]
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+q.path, nil)
	if err != nil {
		return verdict{unknown, "The provider's address is not one."}
	}
	q.authorize(req.Header, key)
	res, err := newClient(&net.Dialer{}, nowhere).Do(req)
	if err != nil {
		return unreached(ctx, "The provider")
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return unreached(ctx, "The provider")
	}
	return q.verdict(res.StatusCode, body)
}

func (q question) verdict(status int, body []byte) verdict {
	said := func(s state, words string) verdict { return verdict{s, fmt.Sprintf("%s (HTTP %d).", words, status)} }
	switch {
	case status == http.StatusOK && q.judge != nil:
		return q.judge(body)
	case status == http.StatusOK:
		return listOfModels(body)
	case status == http.StatusUnauthorized:
		return said(refused, "The provider does not take the key")
	case status == http.StatusPaymentRequired:
		return said(refused, "The provider knows the key, and its account cannot pay")
	case slices.Contains(q.refuses, status) && (q.says == nil || q.says(status, body)):
		return said(refused, "The provider does not take the key")
	case status == http.StatusForbidden:
		return said(unknown, "The provider does not let this key, or this address, read the list of models, which says nothing about the models themselves")
	case status == http.StatusTooManyRequests:
		return said(unknown, "The provider's rate limit is reached; ask again later")
	case status >= http.StatusInternalServerError:
		return said(unknown, "The provider has a problem of its own; ask again later")
	}
	return said(unknown, "The provider answered something that does not say whether it takes the key")
}

const taken = "The provider takes the key."

// listOfModels wants what it asked for, so that no other server's 200 counts.
func listOfModels(body []byte) verdict {
	var list struct{ Data, Models []json.RawMessage }
	if json.Unmarshal(body, &list) != nil || list.Data == nil && list.Models == nil {
		return verdict{unknown, "Something answered that is not the provider's API."}
	}
	return verdict{works, taken}
}

func xaiKey(body []byte) verdict {
	var key struct {
		ID       string `json:"api_key_id"`
		Blocked  bool   `json:"api_key_blocked"`
		Disabled bool   `json:"api_key_disabled"`
		Team     bool   `json:"team_blocked"`
	}
	switch {
	case json.Unmarshal(body, &key) != nil || key.ID == "":
		return verdict{unknown, "Something answered that is not the provider's API."}
	case key.Blocked, key.Disabled:
		return verdict{refused, "The provider knows the key, and has blocked or disabled it."}
	case key.Team:
		return verdict{refused, "The provider knows the key, and has blocked its team."}
	}
	return verdict{works, taken}
}

// geminiRefuses tells the error of a wrong key from others of that status, as
// that of a region that is not served.
func geminiRefuses(status int, body []byte) bool {
	var said struct {
		Error struct {
			Status  string
			Details []struct{ Reason string }
		}
	}
	if json.Unmarshal(body, &said) != nil {
		return false
	}
	if status == http.StatusForbidden {
		return said.Error.Status == "PERMISSION_DENIED"
	}
	for _, d := range said.Error.Details {
		if d.Reason == "API_KEY_INVALID" {
			return true
		}
	}
	return false
}

// unreached is for who did not answer. The error itself may name addresses.
func unreached(ctx context.Context, who string) verdict {
	if ctx.Err() != nil {
		return verdict{unknown, who + " did not answer in time."}
	}
	return verdict{unknown, who + " cannot be reached."}
}
