package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"outpost/shared/id"
	"outpost/shared/task"
	"outpost/shared/topology"
)

// lastStatus is the status of a task that has ended.
const lastStatus = "STOPPED"

// ErrForeign means that an event is not about the end of a run's container.
var ErrForeign = errors.New("not the end of a run's container")

// Stopped is how a container ended.
type Stopped struct {
	Tenant, Run string
	Attempt     int
	Container   string // ARN
	ExitCode    int    // -1 when the container has none: it never ran
	StopCode    string // EssentialContainerExited, UserInitiated, SpotInterruption …
	Reason      string // the platform's words, for people
}

// End is the end of the container's attempt, where that has no result.
func (s Stopped) End(at time.Time) task.AttemptEnd {
	var words []string
	for _, w := range []string{s.StopCode, s.Reason} {
		if w != "" {
			words = append(words, w)
		}
	}
	return task.AttemptEnd{Cause: task.ContainerStopped, ExitCode: s.ExitCode, Detail: strings.Join(words, ": "), At: at}
}

// ending is a task as far as its end goes, as events and DescribeTasks show it.
type ending struct {
	TaskArn, Group, LastStatus, StopCode, StoppedReason string

	Containers []container
}

type container struct {
	Name     string
	ExitCode *int32
}

func endingOf(t types.Task) ending {
	e := ending{TaskArn: aws.ToString(t.TaskArn), Group: aws.ToString(t.Group), LastStatus: aws.ToString(t.LastStatus),
		StopCode: string(t.StopCode), StoppedReason: aws.ToString(t.StoppedReason)}
	for _, c := range t.Containers {
		e.Containers = append(e.Containers, container{aws.ToString(c.Name), c.ExitCode})
	}
	return e
}

// stopped says what the ending tells; who the container's run was stays empty
// for one that is no run's.
func (e ending) stopped() Stopped {
	s := Stopped{Container: e.TaskArn, ExitCode: -1, StopCode: e.StopCode, Reason: e.StoppedReason}
	if tenant, run, attempt, ok := parseGroup(e.Group); ok {
		s.Tenant, s.Run, s.Attempt = tenant, run, attempt
	}
	for _, c := range e.Containers {
		if c.Name == topology.Worker.Container && c.ExitCode != nil {
			s.ExitCode = int(*c.ExitCode)
		}
	}
	return s
}

// group names the container's tenant, run and attempt.
func group(k Container) string { return fmt.Sprintf("%s:%s:%d", k.Tenant, k.Run, k.Attempt) }

// ParseStopped reads an "ECS Task State Change" event of EventBridge. It
// returns ErrForeign for a container that is no run's, or has not ended.
func ParseStopped(event []byte) (Stopped, error) {
	var e struct {
		Detail ending
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return Stopped{}, fmt.Errorf("parse a task event: %w", err)
	}
	if e.Detail.LastStatus != lastStatus {
		return Stopped{}, ErrForeign
	}
	s := e.Detail.stopped()
	if s.Run == "" {
		return Stopped{}, ErrForeign
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
