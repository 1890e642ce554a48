package main

import (
	"fmt"

	"outpost/cmd/outpost/internal/client"
	"outpost/shared/task"
)

type cancelCommand struct {
	ID target `arg:"" help:"Task or run."`
}

// Run asks for the end and says how far it has come: a run that works ends
// within its next heartbeat.
func (c *cancelCommand) Run(s *session) error {
	if c.ID.isRun() {
		r, err := s.api.CancelRun(s.ctx, string(c.ID))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.stdout, r.ID, standing(r))
		return err
	}
	t, err := s.api.CancelTask(s.ctx, string(c.ID))
	if err != nil {
		return err
	}
	for _, r := range t.Runs {
		if _, err := fmt.Fprintf(s.stdout, "%s %s %s\n", r.ID, r.Agent, standing(r)); err != nil {
			return err
		}
	}
	return nil
}

func standing(r client.Run) string {
	switch {
	case r.State == task.Cancelled:
		return "is cancelled"
	case r.State.Terminal():
		return "had ended already: " + string(r.State)
	default:
		return "is being stopped"
	}
}
