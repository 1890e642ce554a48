// Package problem is how Outpost refuses: one table of codes, rendered as
// problem details (RFC 9457). What a caller may read and what happened inside
// are kept apart: a Problem's fields are public, its cause is for the log. An
// error that is no Problem becomes "internal", which tells nothing.
package problem

import (
	"errors"
	"fmt"
	"time"
)

// Field says what is wrong with one part of a request.
type Field struct {
	Field   string `json:"field"` // JSON pointer into the body, or the name of a parameter or header
	Message string `json:"message"`
}

// Quota tells a caller how far a limit is used.
type Quota struct {
	Limit    int       `json:"limit"`
	Used     int       `json:"used"`
	ResetsAt time.Time `json:"resets_at"`
}

// Problem is a refusal. It is an error, and marshals to the body of the answer.
type Problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	Code      Code    `json:"code"`
	RequestID string  `json:"request_id"`
	Retryable bool    `json:"retryable"`
	Errors    []Field `json:"errors,omitempty"`
	*Quota

	// RetryAfter is when to try again, as the Retry-After header tells it; zero
	// leaves the header out.
	RetryAfter time.Duration `json:"-"`
	cause      error
}

// New returns the problem of a code with a sentence for the caller. An unknown
// code is a bug in the program and panics.
func New(code Code, detail string, fields ...Field) *Problem {
	i, ok := lookup(code)
	if !ok {
		panic(fmt.Sprintf("problem: no row for code %q", code))
	}
	return &Problem{
		Type: "/docs#problem-" + string(code), Title: i.Title, Status: i.Status, Detail: detail,
		Code: code, Retryable: i.Retryable, Errors: fields,
	}
}

// Because attaches the inner cause, for the log alone.
func (p *Problem) Because(err error) *Problem { p.cause = err; return p }

// Error is for logs: it includes the cause.
func (p *Problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("%s: %s: %v", p.Code, p.Detail, p.cause)
	}
	return fmt.Sprintf("%s: %s", p.Code, p.Detail)
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.cause }

// From returns the problem that err is or wraps. Any other error is internal,
// with err as its cause.
func From(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return New(Internal, "Something went wrong on our side. The request id helps us to find it.").Because(err)
}

// Is tells whether err is or wraps a problem of a code.
func Is(err error, code Code) bool {
	var p *Problem
	return errors.As(err, &p) && p.Code == code
}

// NotThere is the one answer for an id that is malformed, unknown or another
// tenant's: three cases that nobody must be able to tell apart.
func NotThere() *Problem { return New(NotFound, "There is nothing with this id.") }
