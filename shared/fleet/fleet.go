// Package fleet launches and stops the containers of runs on ECS.
package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"outpost/shared/topology"
)

// Container is the container of one attempt.
type Container struct {
	Tenant, Run string
	Attempt     int
	Agent       string
	Env         map[string]string
}

// ErrNoCapacity means that there is no room now: the same launch may succeed
// later.
var ErrNoCapacity = errors.New("no capacity")

// Client launches containers in one cluster.
type Client struct {
	ecs                     *ecs.Client
	cluster                 string
	subnets, securityGroups []string
}

// NewClient returns a Client of a cluster. Who only stops containers gives no
// network.
func NewClient(c *ecs.Client, cluster string, subnets, securityGroups []string) *Client {
	return &Client{c, cluster, subnets, securityGroups}
}

// token is the idempotency token of an attempt's launch; at most 64 characters.
func (c Container) token() string { return fmt.Sprintf("%s-%d", c.Run, c.Attempt) }

// Launch starts the container of an attempt and returns its ARN. It may be
// repeated: one attempt has one container. It returns ErrNoCapacity when there
// is no room.
func (c *Client) Launch(ctx context.Context, k Container) (arn string, err error) {
	family, name, token := topology.TaskFamily(k.Agent), topology.Worker.Container, k.token()
	group := fmt.Sprintf("%s:%s:%d", k.Tenant, k.Run, k.Attempt)
	var env []types.KeyValuePair
	for key, value := range k.Env {
		env = append(env, types.KeyValuePair{Name: &key, Value: &value})
	}
	out, err := c.ecs.RunTask(ctx, &ecs.RunTaskInput{
		Cluster: &c.cluster, TaskDefinition: &family, ClientToken: &token, StartedBy: &k.Run, Group: &group,
		LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets: c.subnets, SecurityGroups: c.securityGroups, AssignPublicIp: types.AssignPublicIpEnabled}},
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: &name, Environment: env}}},
	})
	if err != nil {
		var api smithy.APIError
		if errors.As(err, &api) && (strings.Contains(api.ErrorCode(), "Throttling") || strings.Contains(api.ErrorMessage(), "Capacity is unavailable") ||
			strings.Contains(api.ErrorMessage(), "limit on the number of vCPUs")) {
			return "", fmt.Errorf("%w: %s", ErrNoCapacity, api.ErrorMessage())
		}
		return "", fmt.Errorf("run task %s: %w", token, err)
	}
	for _, f := range out.Failures {
		if reason := deref(f.Reason); strings.HasPrefix(reason, "RESOURCE:") || strings.Contains(reason, "Capacity") {
			return "", fmt.Errorf("%w: %s", ErrNoCapacity, reason)
		}
		return "", fmt.Errorf("run task %s: %s", token, deref(f.Reason))
	}
	if len(out.Tasks) != 1 {
		return "", fmt.Errorf("run task %s: %d tasks", token, len(out.Tasks))
	}
	return deref(out.Tasks[0].TaskArn), nil
}

// Stop stops a container. One that has stopped, or is not known any more, is
// success.
func (c *Client) Stop(ctx context.Context, arn, reason string) error {
	_, err := c.ecs.StopTask(ctx, &ecs.StopTaskInput{Cluster: &c.cluster, Task: &arn, Reason: &reason})
	var unknown *types.InvalidParameterException
	if err != nil && !errors.As(err, &unknown) {
		return fmt.Errorf("stop task: %w", err)
	}
	return nil
}

// Stopped is what a container's last event says.
type Stopped struct {
	Tenant, Run string
	Attempt     int
	ExitCode    int    // -1 when the container never ran
	Reason      string // the platform's words
}

// ErrForeign means that an event is not about a container of a run.
var ErrForeign = errors.New("not a container of a run")

// ParseStopped reads an "ECS Task State Change" event of EventBridge.
func ParseStopped(event []byte) (Stopped, error) {
	var e struct {
		Detail struct {
			Group, LastStatus, StopCode, StoppedReason string
			Containers                                 []struct {
				ExitCode *int
			}
		}
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return Stopped{}, fmt.Errorf("parse a task event: %w", err)
	}
	parts := strings.Split(e.Detail.Group, ":")
	if len(parts) != 3 || e.Detail.LastStatus != "STOPPED" {
		return Stopped{}, ErrForeign
	}
	s := Stopped{Tenant: parts[0], Run: parts[1], ExitCode: -1, Reason: e.Detail.StopCode + ": " + e.Detail.StoppedReason}
	if _, err := fmt.Sscanf(parts[2], "%d", &s.Attempt); err != nil || s.Attempt < 1 {
		return Stopped{}, ErrForeign
	}
	if len(e.Detail.Containers) > 0 && e.Detail.Containers[0].ExitCode != nil {
		s.ExitCode = *e.Detail.Containers[0].ExitCode
	}
	return s, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
