package api

import (
	"errors"
	"fmt"

	"outpost/shared/problem"
	"outpost/shared/table"
	"outpost/shared/task"
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

// CheckArtifacts holds what the contract cannot say of a worker's artifacts at
// a JSON pointer: each stands once, and has its own largest size.
func CheckArtifacts(pointer string, artifacts []task.Artifact) (wrong []problem.Field) {
	seen := map[string]bool{}
	for i, a := range artifacts {
		field, most := fmt.Sprintf("%s/%d", pointer, i), int64(task.MaxLog)
		if a.Name == task.ArtifactPatch {
			most = task.MaxPatch
		}
		if seen[a.Name] {
			wrong = append(wrong, problem.Field{Field: field + "/name", Message: "stands twice"})
		}
		if seen[a.Name] = true; a.Size > most {
			wrong = append(wrong, problem.Field{Field: field + "/size", Message: fmt.Sprintf("must be at most %d", most)})
		}
	}
	return wrong
}
