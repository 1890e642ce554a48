package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
)

// The exit codes. Scripts rely on them: they never change their meaning.
const (
	exitOK          = 0
	exitFailed      = 1   // the task failed, or there is no patch
	exitUsage       = 2   // the command line or the settings are wrong
	exitRefused     = 3   // the API refused the request (4xx)
	exitUnavailable = 4   // the API cannot be reached, or failed (5xx)
	exitCancelled   = 5   // the task was cancelled
	exitInterrupted = 130 // the user left
)

const exitHelp = `Exit codes: 0 the task succeeded (and, with --verify, a patch passed it); 1 it failed, or no patch passed; 2 wrong usage or settings;
3 refused by the API; 4 the API cannot be reached or failed; 5 the task was cancelled; 130 interrupted.`

// failure is an error with an exit code of its own. Without a text it is told
// by the exit code alone.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func usage(format string, args ...any) error {
	return &failure{exitUsage, fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) error {
	return &failure{exitFailed, fmt.Sprintf(format, args...)}
}

// report tells an error and returns its exit code.
func report(w io.Writer, err error) int {
	var own *failure
	var refused *client.Error
	var unreachable *client.Unreachable
	code := exitFailed
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &own):
		code = own.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &refused) && !refused.Unavailable():
		code = exitRefused
	case errors.As(err, &refused), errors.As(err, &unreachable):
		code = exitUnavailable
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(w, "outpost:", table.CleanBlock(text))
	}
	return code
}
