package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"outpost/shared/id"
	"outpost/shared/topology"
)

// lastStatus is the status of a task that has ended.
const lastStatus = "STOPPED"

// ErrForeign means that an event is not about the end of a run's container.
var ErrForeign = errors.New("not the end of a run's container")

// Stopped is what a container's last event says.
type Stopped struct {
	Tenant, Run string
	Attempt     int
	Container   string // ARN
	ExitCode    int    // -1 when the container has none: it never ran
	StopCode    string // EssentialContainerExited, UserInitiated, SpotInterruption …
	Reason      string // the platform's words, for people
}

// group names the container's tenant, run and attempt.
func group(k Container) string { return fmt.Sprintf("%s:%s:%d", k.Tenant, k.Run, k.Attempt) }

// ParseStopped reads an "ECS Task State Change" event of EventBridge. It
// returns ErrForeign for a container that is no run's, or has not ended.
func ParseStopped(event []byte) (Stopped, error) {
	var e struct {
		Detail struct {
			TaskArn, Group, LastStatus, StopCode, StoppedReason string

			Containers []struct {
				Name     string
				ExitCode *int
			}
		}
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return Stopped{}, fmt.Errorf("parse a task event: %w", err)
	}
	if e.Detail.LastStatus != lastStatus {
		return Stopped{}, ErrForeign
	}
	s := Stopped{Container: e.Detail.TaskArn, ExitCode: -1, StopCode: e.Detail.StopCode, Reason: e.Detail.StoppedReason}
	var ok bool
	if s.Tenant, s.Run, s.Attempt, ok = parseGroup(e.Detail.Group); !ok {
		return Stopped{}, ErrForeign
	}
	for _, c := range e.Detail.Containers {
		if c.Name == topology.Worker.Container && c.ExitCode != nil {
			s.ExitCode = *c.ExitCode
		}
	}
	return s, nil
}

func parseGroup(g string) (tenant, run string, attempt int, ok bool) {
	parts := strings.Split(g, ":")
	if len(parts) != 3 {
		return "", "", 0, false
	}
	_, badTenant := id.ULID(id.Tenant, parts[0])
	_, _, badRun := id.SplitRun(parts[1])
	attempt, badAttempt := strconv.Atoi(parts[2])
	return parts[0], parts[1], attempt, badTenant == nil && badRun == nil && badAttempt == nil && attempt > 0
}
