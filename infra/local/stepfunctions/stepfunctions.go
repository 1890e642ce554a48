// Package stepfunctions is the part of AWS Step Functions that Outpost calls:
// StartExecution, DescribeExecution, SendTaskSuccess and SendTaskFailure, over
// one state machine. Executions are files, so they outlive a crash: what was
// running goes on when the service is opened again, where it was. A token and
// its timeout stay, a Wait keeps its end; only a function that was being
// invoked is invoked once more, since whether it ran cannot be known.
package stepfunctions

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"outpost/infra/local/asl"
	"outpost/infra/local/awsjson"
	"outpost/infra/local/durable"
	"outpost/shared/clock"
)

// retention is for how long an execution that has closed is known, as on AWS.
const retention = 90 * 24 * time.Hour

// names are those that an execution may have.
var names = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// Invoker calls a Lambda function by name.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) ([]byte, error)
}

// Service runs the executions of one state machine.
type Service struct {
	arn     string
	machine *asl.Machine
	dir     string
	clock   clock.Clock
	invoker Invoker
	ctx     context.Context
	running sync.WaitGroup

	transitions atomic.Int64

	mu         sync.Mutex
	executions map[string]*execution
	tokens     map[string]*execution
}

// execution is an asl.Execution and its host.
type execution struct {
	clock.Clock
	service *Service

	mu       sync.Mutex
	ex       *asl.Execution
	saved    asl.Execution // what DescribeExecution sees
	over     string        // a token that is not answered any more, though saved
	answered chan struct{} // closed and replaced by each answer
}

// Open loads the executions kept in dir and goes on with those that run, until
// the context ends. Close waits for them to stop.
func Open(ctx context.Context, arn string, m *asl.Machine, dir string, c clock.Clock, inv Invoker) (*Service, error) {
	s := &Service{arn: arn, machine: m, dir: dir, clock: c, invoker: inv, ctx: ctx,
		executions: map[string]*execution{}, tokens: map[string]*execution{}}
	err := durable.ReadAll(dir, func(path string) error {
		ex := &asl.Execution{}
		if err := durable.Read(path, ex); err != nil {
			return err
		}
		if ex.Status != asl.Running && c.Now().Sub(ex.StoppedAt) > retention {
			return os.Remove(path)
		}
		e := s.host(ex)
		if ex.Status == asl.Running {
			if ex.Token != "" {
				s.tokens[ex.Token] = e
			}
			s.run(e)
		}
		return nil
	})
	return s, err
}

// Close waits until no execution is being driven; the context that was given
// to Open must have ended.
func (s *Service) Close() { s.running.Wait() }

// Transitions returns how many states were entered since Open, retries
// included.
func (s *Service) Transitions() int64 { return s.transitions.Load() }

// Handler serves the AWS JSON protocol.
func (s *Service) Handler() awsjson.Service {
	return awsjson.Service{Name: "Step Functions", Operations: map[string]awsjson.Operation{
		"StartExecution":    awsjson.Op(s.startExecution),
		"DescribeExecution": awsjson.Op(s.describeExecution),
		"SendTaskSuccess":   awsjson.Op(s.sendTaskSuccess),
		"SendTaskFailure":   awsjson.Op(s.sendTaskFailure),
	}}
}

type startInput struct{ StateMachineArn, Name, Input string }
type startOutput struct {
	ExecutionArn string  `json:"executionArn"`
	StartDate    float64 `json:"startDate"`
}

func (s *Service) startExecution(_ context.Context, in startInput) (startOutput, error) {
	if in.StateMachineArn != s.arn {
		return startOutput{}, awsjson.Errorf("StateMachineDoesNotExist", "no state machine %s", in.StateMachineArn)
	}
	if !names.MatchString(in.Name) {
		return startOutput{}, awsjson.Errorf("InvalidName", "%q is no name of an execution", in.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.executions[in.Name]; old != nil {
		ex := old.view()
		if ex.Status == asl.Running && ex.Input == in.Input {
			return s.started(ex), nil
		}
		return startOutput{}, awsjson.Errorf("ExecutionAlreadyExists", "execution %s exists", in.Name)
	}
	if len(in.Input) > asl.MaxData {
		return startOutput{}, awsjson.Errorf("ValidationException", "the input is larger than 256 KiB")
	}
	ex, err := s.machine.Start(in.Name, in.Input, s.clock.Now())
	if err != nil {
		return startOutput{}, awsjson.Errorf("InvalidExecutionInput", "%v", err)
	}
	if err := durable.Write(s.path(in.Name), ex); err != nil {
		return startOutput{}, err
	}
	s.transitions.Add(int64(ex.Transitions))
	out := s.started(*ex) // from here on the execution is its own goroutine's
	s.run(s.host(ex))
	return out, nil
}

func (s *Service) started(ex asl.Execution) startOutput {
	return startOutput{s.executionARN(ex.Name), seconds(ex.StartedAt)}
}

type describeInput struct{ ExecutionArn string }
type describeOutput struct {
	ExecutionArn    string   `json:"executionArn"`
	StateMachineArn string   `json:"stateMachineArn"`
	Name            string   `json:"name"`
	Status          string   `json:"status"`
	StartDate       float64  `json:"startDate"`
	StopDate        *float64 `json:"stopDate,omitempty"`
	Input           string   `json:"input"`
	Output          string   `json:"output,omitempty"`
	Error           string   `json:"error,omitempty"`
	Cause           string   `json:"cause,omitempty"`
}

func (s *Service) describeExecution(_ context.Context, in describeInput) (describeOutput, error) {
	name := in.ExecutionArn[strings.LastIndex(in.ExecutionArn, ":")+1:]
	s.mu.Lock()
	e := s.executions[name]
	s.mu.Unlock()
	if e == nil || in.ExecutionArn != s.executionARN(name) {
		return describeOutput{}, awsjson.Errorf("ExecutionDoesNotExist", "no execution %s", in.ExecutionArn)
	}
	ex := e.view()
	out := describeOutput{ExecutionArn: in.ExecutionArn, StateMachineArn: s.arn, Name: name, Status: string(ex.Status),
		StartDate: seconds(ex.StartedAt), Input: ex.Input, Error: ex.Error, Cause: ex.Cause}
	if !ex.StoppedAt.IsZero() {
		stop := seconds(ex.StoppedAt)
		out.StopDate = &stop
	}
	if ex.Status == asl.Succeeded {
		body, err := json.Marshal(ex.Data)
		if err != nil {
			return describeOutput{}, err
		}
		out.Output = string(body)
	}
	return out, nil
}

type successInput struct{ TaskToken, Output string }
type failureInput struct{ TaskToken, Error, Cause string }
type empty struct{}

func (s *Service) sendTaskSuccess(_ context.Context, in successInput) (empty, error) {
	if !json.Valid([]byte(in.Output)) || len(in.Output) > asl.MaxData {
		return empty{}, awsjson.Errorf("InvalidOutput", "the output is not JSON of at most 256 KiB")
	}
	return empty{}, s.answer(in.TaskToken, asl.Answer{Output: json.RawMessage(in.Output)})
}

func (s *Service) sendTaskFailure(_ context.Context, in failureInput) (empty, error) {
	if in.Error == "" {
		in.Error = "States.TaskFailed"
	}
	return empty{}, s.answer(in.TaskToken, asl.Answer{Error: in.Error, Cause: in.Cause})
}

func (s *Service) answer(token string, a asl.Answer) error {
	if token == "" {
		return awsjson.Errorf("InvalidToken", "the token is empty")
	}
	s.mu.Lock()
	e := s.tokens[token]
	s.mu.Unlock()
	if e == nil {
		return awsjson.Errorf("TaskTimedOut", "nobody waits for this token any more")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.saved.Token != token || e.over == token || e.saved.Answer != nil || e.saved.Status != asl.Running {
		return awsjson.Errorf("TaskTimedOut", "nobody waits for this token any more")
	}
	next := e.saved
	next.Answer = &a
	if err := durable.Write(s.path(next.Name), next); err != nil {
		return err
	}
	e.saved = next
	close(e.answered)
	e.answered = make(chan struct{})
	return nil
}

func (s *Service) host(ex *asl.Execution) *execution {
	e := &execution{Clock: s.clock, service: s, ex: ex, saved: *ex, answered: make(chan struct{})}
	s.executions[ex.Name] = e
	return e
}

// run drives an execution; s.mu is held or the service is being opened. While
// its file cannot be written, as on a full disk, it stands still.
func (s *Service) run(e *execution) {
	s.running.Go(func() {
		for s.machine.Run(s.ctx, e.ex, e) != nil {
			select {
			case <-s.clock.After(time.Second):
			case <-s.ctx.Done():
				return
			}
		}
	})
}

func (s *Service) executionARN(name string) string {
	return strings.Replace(s.arn, ":stateMachine:", ":execution:", 1) + ":" + name
}

func (s *Service) path(name string) string { return filepath.Join(s.dir, name+".json") }

// Invoke calls the function for the execution.
func (e *execution) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	return e.service.invoker.Invoke(ctx, function, payload)
}

// NewToken returns 32 random letters and digits.
func (e *execution) NewToken(*asl.Execution) string { return rand.Text() + rand.Text() }

// Save writes the execution's file and keeps the table of tokens.
func (e *execution) Save(ex *asl.Execution) error {
	e.mu.Lock()
	old := e.saved
	if ex.Token == old.Token && ex.State == old.State {
		ex.Answer = old.Answer // it may have come in between
	}
	err := durable.Write(e.service.path(ex.Name), ex)
	if err == nil {
		e.saved = *ex
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}
	e.service.transitions.Add(int64(ex.Transitions - old.Transitions))
	if old.Token != ex.Token {
		e.service.mu.Lock()
		delete(e.service.tokens, old.Token)
		if ex.Token != "" {
			e.service.tokens[ex.Token] = e
		}
		e.service.mu.Unlock()
	}
	return nil
}

// Await waits for the answer to the execution's token.
func (e *execution) Await(ctx context.Context, ex *asl.Execution, deadline time.Time) (*asl.Answer, error) {
	var timeout <-chan time.Time
	if !deadline.IsZero() {
		timeout = e.After(deadline.Sub(e.Now()))
	}
	for late := false; ; {
		e.mu.Lock()
		a, answered := e.saved.Answer, e.answered
		if late {
			e.over = ex.Token // under the lock, so that no answer is accepted and then lost
		}
		e.mu.Unlock()
		if a != nil || late {
			return a, nil
		}
		select {
		case <-answered:
		case <-timeout:
			late = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (e *execution) view() asl.Execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.saved
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
