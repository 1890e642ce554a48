// Package workflow is the state machine of a run: its definition, the names and
// inputs of its executions, and the calls that start them and answer their
// tokens.
//
// A token is always answered with success, whatever happened: the waiting state
// only learns that its attempt is over, and Settle reads from the table what
// that means. So a failure of Launch is always one of the function itself, and
// the definition's Retry may repeat every one of them.
package workflow

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// Definition is the machine in the Amazon States Language, with placeholders
// for the functions' ARNs.
//
//go:embed run.asl.json
var Definition string

// The placeholders of the definition, and the functions that they stand for.
var Placeholders = map[string]string{"LaunchFunction": "workflow/launch", "SettleFunction": "workflow/settle"}

// Input is an execution's input. Equal inputs are equal bytes, so that starting
// an execution may be repeated by whoever finds the run.
type Input struct {
	Tenant string `json:"tenant"`
	Run    string `json:"run"`
	Start  int    `json:"start"`
}

// Name is the name of the execution: the run and how often it was started.
func (in Input) Name() string { return fmt.Sprintf("%s-%d", in.Run, in.Start) }

// Status is where an execution stands.
type Status string

// The statuses.
const (
	Missing Status = "missing"
	Open    Status = "open"
	Closed  Status = "closed"
)

// ErrClosed is returned by Start for an execution that ran before and is over.
var ErrClosed = errors.New("the execution has closed")

// Client calls Step Functions for one state machine.
type Client struct {
	sfn     *sfn.Client
	machine string
}

// NewClient returns a Client of the state machine of that ARN.
func NewClient(c *sfn.Client, machineARN string) *Client { return &Client{c, machineARN} }

// Start starts the execution. One that runs already is success, because it has
// the same input; one that is over is ErrClosed.
func (c *Client) Start(ctx context.Context, in Input) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("start execution %s: %w", in.Name(), err)
	}
	name, input := in.Name(), string(body)
	_, err = c.sfn.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &c.machine, Name: &name, Input: &input})
	var exists *types.ExecutionAlreadyExists
	if errors.As(err, &exists) {
		err = ErrClosed // Step Functions answers a repeat with success while it runs
	}
	if err != nil {
		return fmt.Errorf("start execution %s: %w", name, err)
	}
	return nil
}

// Describe tells where the execution stands.
func (c *Client) Describe(ctx context.Context, in Input) (Status, error) {
	arn := strings.Replace(c.machine, ":stateMachine:", ":execution:", 1) + ":" + in.Name()
	out, err := c.sfn.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	var missing *types.ExecutionDoesNotExist
	switch {
	case errors.As(err, &missing):
		return Missing, nil
	case err != nil:
		return "", fmt.Errorf("describe execution %s: %w", in.Name(), err)
	case out.Status == types.ExecutionStatusRunning:
		return Open, nil
	default:
		return Closed, nil
	}
}

// Answer tells the waiting state that its attempt is over; what that means is
// read from the table. A token that nobody waits for any more, or none, is
// success.
func (c *Client) Answer(ctx context.Context, token string) error {
	if token == "" {
		return nil
	}
	output := "{}"
	_, err := c.sfn.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output})
	var timedOut *types.TaskTimedOut
	var gone *types.TaskDoesNotExist
	var invalid *types.InvalidToken
	if err != nil && !errors.As(err, &timedOut) && !errors.As(err, &gone) && !errors.As(err, &invalid) {
		return fmt.Errorf("answer a task token: %w", err)
	}
	return nil
}
