package api

import (
	"errors"

	"outpost/shared/problem"
	"outpost/shared/table"
)

// AttemptRefusal translates what the store says of an attempt into the refusals
// on which a worker ends quietly.
func AttemptRefusal(err error) error {
	switch {
	case errors.Is(err, table.ErrNonceBound):
		return problem.New(problem.TicketBound, "Another worker has claimed this attempt.")
	case errors.Is(err, table.ErrCancelled):
		return problem.New(problem.RunCancelled, "The run is to end.")
	case errors.Is(err, table.ErrStale), errors.Is(err, table.ErrNotFound):
		return problem.New(problem.AttemptSuperseded, "This attempt is over.")
	}
	return err
}
