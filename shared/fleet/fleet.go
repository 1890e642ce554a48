// Package fleet launches and stops the containers of runs on ECS. A container
// is known to its tenant, run and attempt by its group, so that its last event
// finds the way back without a lookup.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
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
	OnDemand    bool // else on Spot capacity, which is cheaper and may be taken away
}

// Errors of Launch. After any other it is not known whether the container runs.
var (
	ErrNoCapacity = errors.New("no capacity") // none runs; the same may succeed later
	ErrRefused    = errors.New("refused")     // none runs, and trying again is no use
)

// Place is where containers run. Who only stops containers gives the cluster
// alone.
type Place struct {
	Cluster        string // ARN
	Family         string // prefix of the task definitions' families
	Subnets        []string
	SecurityGroups []string
}

// Client launches containers in one place.
type Client struct {
	ecs   *ecs.Client
	place Place
}

// NewClient returns a Client of a place.
func NewClient(c *ecs.Client, p Place) *Client { return &Client{c, p} }

// Launch starts the container of an attempt and returns its ARN. It may be
// repeated with an equal Container: one attempt has one container, also when
// that has stopped meanwhile.
func (c *Client) Launch(ctx context.Context, k Container) (arn string, err error) {
	out, err := c.ecs.RunTask(ctx, c.request(k))
	if err != nil {
		return "", fmt.Errorf("run task: %w", classify(err))
	}
	for _, f := range out.Failures {
		return "", fmt.Errorf("run task: %w", refusal(aws.ToString(f.Reason)))
	}
	if len(out.Tasks) != 1 {
		return "", fmt.Errorf("run task: the answer holds %d tasks", len(out.Tasks))
	}
	return aws.ToString(out.Tasks[0].TaskArn), nil
}

// request is byte for byte the same for equal containers: ECS refuses a client
// token that comes back with other parameters.
func (c *Client) request(k Container) *ecs.RunTaskInput {
	provider := "FARGATE_SPOT"
	if k.OnDemand {
		provider = "FARGATE"
	}
	var env []types.KeyValuePair
	for _, name := range slices.Sorted(maps.Keys(k.Env)) {
		env = append(env, types.KeyValuePair{Name: aws.String(name), Value: aws.String(k.Env[name])})
	}
	return &ecs.RunTaskInput{
		Cluster:                  &c.place.Cluster,
		TaskDefinition:           aws.String(topology.TaskFamily(c.place.Family, k.Agent)),
		ClientToken:              aws.String(fmt.Sprintf("%s-%d", k.Run, k.Attempt)), // at most 64 characters
		StartedBy:                &k.Run,
		Group:                    aws.String(group(k)),
		CapacityProviderStrategy: []types.CapacityProviderStrategyItem{{CapacityProvider: &provider, Weight: 1}},
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets: c.place.Subnets, SecurityGroups: c.place.SecurityGroups, AssignPublicIp: types.AssignPublicIpEnabled}},
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{
			{Name: aws.String(topology.Worker.Container), Environment: env}}},
	}
}

// classify tells what a failed call means.
func classify(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err // no answer came
	}
	if strings.Contains(api.ErrorCode(), "Throttling") || noRoom(api.ErrorMessage()) {
		return fmt.Errorf("%w: %w", ErrNoCapacity, err)
	}
	var response *awshttp.ResponseError
	if errors.As(err, &response) && response.HTTPStatusCode() < http.StatusInternalServerError {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// refusal tells what a failure in an answer means.
func refusal(reason string) error {
	if strings.HasPrefix(reason, "RESOURCE:") || noRoom(reason) {
		return fmt.Errorf("%w: %s", ErrNoCapacity, reason)
	}
	return fmt.Errorf("%w: %s", ErrRefused, reason)
}

// noRoom knows Fargate's sentences about capacity, which have no code.
func noRoom(message string) bool {
	return strings.Contains(message, "Capacity is unavailable") || strings.Contains(message, "limit on the number of vCPUs")
}

// Stop asks a container to stop and tells whether it has: one that is not known
// any more has.
func (c *Client) Stop(ctx context.Context, arn, reason string) (stopped bool, err error) {
	out, err := c.ecs.StopTask(ctx, &ecs.StopTaskInput{Cluster: &c.place.Cluster, Task: &arn, Reason: &reason})
	var unknown *types.InvalidParameterException
	if errors.As(err, &unknown) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("stop task: %w", err)
	}
	return out.Task != nil && slices.Contains(over, aws.ToString(out.Task.LastStatus)), nil
}

// Look asks after a container and tells whether it has stopped, and how: one
// that is not known any more has. One that waits for its image or for capacity
// has not.
func (c *Client) Look(ctx context.Context, arn string) (s Stopped, stopped bool, err error) {
	out, err := c.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &c.place.Cluster, Tasks: []string{arn}})
	if err != nil {
		return Stopped{}, false, fmt.Errorf("describe task: %w", err)
	}
	switch {
	case len(out.Tasks) == 1 && slices.Contains(over, aws.ToString(out.Tasks[0].LastStatus)):
		return endingOf(out.Tasks[0]).stopped(), true, nil
	case len(out.Tasks) == 1:
		return Stopped{}, false, nil
	case len(out.Failures) != 1:
		return Stopped{}, false, fmt.Errorf("describe task: the answer holds %d tasks", len(out.Tasks))
	case aws.ToString(out.Failures[0].Reason) != "MISSING":
		return Stopped{}, false, fmt.Errorf("describe task: %s", aws.ToString(out.Failures[0].Reason))
	}
	return Stopped{Container: arn, ExitCode: -1, Reason: "the container is not known any more"}, true, nil
}

// over are the statuses of a task whose containers have ended; while it is
// being deprovisioned only its network interface is left.
var over = []string{"DEPROVISIONING", lastStatus}
