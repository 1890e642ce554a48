package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"outpost/cmd/outpost/internal/client"
)

// once names a submission, so that it is made once however often it is sent.
type once struct {
	IdempotencyKey string `placeholder:"KEY" help:"Name of this submission: with the same name it is made once in 24 hours, however often the command is repeated (default: a random one)."`
}

func (o once) key() string { return cmp.Or(o.IdempotencyKey, rand.Text()) }

// unsure says how to repeat a command of which nobody knows whether it did its
// work. It returns the error as it is.
func (s *session) unsure(err error, what, repeat string) error {
	var unreachable *client.Unreachable
	var refused *client.Error
	if errors.Is(err, context.Canceled) || errors.As(err, &unreachable) || errors.As(err, &refused) && refused.Unavailable() {
		fmt.Fprintf(s.stderr, "outpost: it is not known whether %s. To make sure that it is, once, repeat the command with %s\n", what, repeat)
	}
	return err
}

// showOnce writes what is shown a single time. What could not be written can be
// asked for again.
func (s *session) showOnce(write func() error, repeat string) error {
	if err := write(); err != nil {
		return fmt.Errorf("%w\n  It is made, and its key was not seen. To see it, repeat the command within 24 hours with %s", err, repeat)
	}
	return nil
}
