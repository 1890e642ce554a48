// Package awsjson serves the AWS JSON protocol, in which an X-Amz-Target header
// names the operation and bodies are JSON. The hand-made services of the local
// target are built on it; an operation that a service does not have is
// answered 400 by its name.
package awsjson

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"outpost/shared/id"

	"outpost/shared/clock"
)

// maxBody bounds a request, in bytes.
const maxBody = 8 << 20

// Error is an answer that the SDK turns into its typed error of that code.
type Error struct {
	Code    string
	Message string
	Extra   map[string]any // further members of the body, as CancellationReasons
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf returns an Error.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Operation answers one call.
type Operation func(ctx context.Context, body []byte) (any, error)

// Op makes an Operation from a function over the call's own types.
func Op[In, Out any](f func(context.Context, In) (Out, error)) Operation {
	return func(ctx context.Context, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, Errorf("SerializationException", "the body is not what the operation takes: %v", err)
		}
		return f(ctx, in)
	}
}

// Service is a set of operations.
type Service struct {
	Name       string
	Operations map[string]Operation
}

func (s Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-RequestId", id.NewULID(clock.System.Now()))
	op, ok := s.Operations[name]
	if !ok {
		writeError(w, Errorf("UnknownOperationException", "the local %s does not have the operation %q", s.Name, name))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		writeError(w, Errorf("SerializationException", "the body cannot be read"))
		return
	}
	out, err := op(r.Context(), body)
	if err != nil {
		writeError(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(out) // the caller has gone if this fails
}

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var e *Error
	if !errors.As(err, &e) {
		e, status = Errorf("InternalServerError", "%v", err), http.StatusInternalServerError
	}
	body := map[string]any{"__type": e.Code, "message": e.Message}
	for k, v := range e.Extra {
		body[k] = v
	}
	w.Header().Set("X-Amzn-ErrorType", e.Code)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
