package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Field says what is wrong with one part of a request.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error is a refusal by the API: problem details, or one of API Gateway's own
// answers.
type Error struct {
	Status    int       `json:"status"`
	Code      string    `json:"code"`
	Title     string    `json:"title"`
	Detail    string    `json:"detail"`
	RequestID string    `json:"request_id"`
	Retryable bool      `json:"retryable"`
	Fields    []Field   `json:"errors"`
	ResetsAt  time.Time `json:"resets_at"` // of a quota; zero when there is none

	RetryAfter time.Duration `json:"-"` // zero when the answer does not say
}

// Error is one or a few lines for a person.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Title)
	if e.Detail != "" && e.Detail != e.Title {
		if e.Title != "" {
			b.WriteByte(' ')
		}
		b.WriteString(e.Detail)
	}
	for _, f := range e.Fields {
		if strings.Contains(e.Detail, f.Field) && strings.Contains(e.Detail, f.Message) {
			continue // the detail says it already
		}
		fmt.Fprintf(&b, "\n  %s: %s", strings.TrimPrefix(f.Field, "/"), f.Message)
	}
	if !e.ResetsAt.IsZero() {
		fmt.Fprintf(&b, "\n  Again from %s.", e.ResetsAt.Format(time.RFC3339))
	}
	what := fmt.Sprintf("HTTP %d", e.Status)
	if e.Code != "" {
		what += " " + e.Code
	}
	if e.RequestID != "" {
		what += ", request " + e.RequestID
	}
	return b.String() + "\n  (" + what + ")"
}

// Unavailable tells whether the service failed, rather than the request.
func (e *Error) Unavailable() bool { return e.Status >= 500 }

// Unreachable means that no whole answer came.
type Unreachable struct {
	Base  string
	cause error
}

func (u *Unreachable) Error() string {
	return fmt.Sprintf("Outpost at %s cannot be reached: %v", u.Base, u.cause)
}

// Unwrap returns the cause.
func (u *Unreachable) Unwrap() error { return u.cause }

// gateway words API Gateway's own answers, which say almost nothing.
var gateway = map[int]string{
	http.StatusUnauthorized:          "The API wants an API key, and none arrived.",
	http.StatusForbidden:             "The API key is not accepted: it is unknown, revoked or expired.",
	http.StatusNotFound:              "The address has no such route: is it the address of an Outpost, without /v1?",
	http.StatusRequestEntityTooLarge: "The request is too large.",
	http.StatusTooManyRequests:       "The service is throttled as a whole. Try again in a minute.",
}

// refusal reads an answer of 400 or above.
func refusal(res *http.Response, body []byte) *Error {
	e := &Error{}
	if err := json.Unmarshal(body, e); err != nil || e.Code == "" {
		e = &Error{Title: gateway[res.StatusCode], Retryable: res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500}
		if e.Title == "" {
			e.Title = "The service answered " + strings.ToLower(http.StatusText(res.StatusCode)) + "."
		}
	}
	e.Status = res.StatusCode
	if e.RequestID == "" {
		e.RequestID = firstOf(res.Header.Get("X-Request-Id"), res.Header.Get("Apigw-Requestid"))
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
