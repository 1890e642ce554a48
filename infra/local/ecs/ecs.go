// Package ecs is the part of Amazon ECS that Outpost calls: RunTask, StopTask
// and DescribeTasks. A task is a child process with a clean environment in a
// PID namespace of its own, so its whole tree ends with it and with Outpost.
// What is known of tasks is kept in files: after a crash of Outpost its tasks
// count as stopped, and their events are delivered.
//
// Where the kernel refuses namespaces, as some distributions do to all but
// root, a task is a process group, and what left the group is found by the
// scratch folder in its environment. A process that hides that, too, outlives
// its task.
package ecs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"outpost/infra/local/awsjson"
	"outpost/infra/local/durable"
	"outpost/shared/clock"
)

// remembered is for how long a task is known after its end, and its client
// token and log kept.
const remembered = 24 * time.Hour

// Definition is a task definition: the program that a family runs.
type Definition struct {
	Path string
	Args []string
	Env  []string // beside the overrides; nothing is inherited
}

// Options say how tasks run.
type Options struct {
	Cluster     string // its ARN
	Dir         string // for tasks' files, logs and scratch folders
	Families    map[string]Definition
	StopTimeout time.Duration // between TERM and KILL
	Clock       clock.Clock
	// Deliver hands over an EventBridge event; it is repeated until it succeeds.
	Deliver func(ctx context.Context, event []byte) error
	// Refuse, when set, may answer a RunTask with a failure's reason, as
	// RESOURCE:CPU, in place of a task.
	Refuse func(family string) (reason string)
	Log    func(format string, args ...any)
}

// Service runs the tasks.
type Service struct {
	Options
	ctx  context.Context
	work sync.WaitGroup

	mu      sync.Mutex
	tasks   map[string]*task // by ARN
	byToken map[string]*task // by client token
	doubles int
	weaker  sync.Once // tells of the weaker isolation
}

// record is what is kept of a task.
type record struct {
	ARN, Family, Group, StartedBy, ClientToken string
	Request                                    string // its digest: a client token stands for one request
	Environment                                map[string]string
	CreatedAt, StoppedAt                       time.Time
	LastStatus, StopCode, StoppedReason        string
	ExitCode                                   int
	Delivered                                  bool
}

type task struct {
	record
	stopping   bool          // StopTask was called
	stopReason string        // why
	stop       chan struct{} // closed by StopTask
	stopOnce   sync.Once
	process    *os.Process // while it runs
}

// Open loads what is known of earlier tasks. The context's end kills every
// task; Close waits for that.
func Open(ctx context.Context, o Options) (*Service, error) {
	s := &Service{Options: o, ctx: ctx, tasks: map[string]*task{}, byToken: map[string]*task{}}
	killStrays(s.scratch())
	if err := errors.Join(remove(s.scratch()), os.MkdirAll(s.scratch(), 0o700)); err != nil {
		return nil, fmt.Errorf("ecs: clear the scratch folder: %w", err)
	}
	err := durable.ReadAll(s.Dir, func(path string) error {
		t := newTask(record{})
		if err := durable.Read(path, &t.record); err != nil {
			return err
		}
		s.tasks[t.ARN], s.byToken[t.ClientToken] = t, t
		if t.LastStatus != "STOPPED" {
			s.ended(t, "EssentialContainerExited", "Outpost was stopped", 137)
		} else if !t.Delivered {
			s.work.Go(func() { s.deliver(t) })
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	return s, err
}

// forget drops the tasks that ended long ago; s.mu is held.
func (s *Service) forget() {
	for arn, t := range s.tasks {
		if t.Delivered && s.Clock.Now().Sub(t.StoppedAt) > remembered {
			delete(s.tasks, arn)
			delete(s.byToken, t.ClientToken)
			_ = os.Remove(s.file(t, ".log"))
			_ = os.Remove(s.file(t, ".json")) // else it is forgotten by the next Open
		}
	}
}

// Close waits for every task to have ended.
func (s *Service) Close() { s.work.Wait() }

// Handler serves the AWS JSON protocol.
func (s *Service) Handler() awsjson.Service {
	return awsjson.Service{Name: "ECS", Operations: map[string]awsjson.Operation{
		"RunTask":       awsjson.Op(s.runTask),
		"StopTask":      awsjson.Op(s.stopTask),
		"DescribeTasks": awsjson.Op(s.describeTasks),
	}}
}

type failure struct {
	Arn    string `json:"arn,omitempty"`
	Reason string `json:"reason"`
}
type tasksOutput struct {
	Tasks    []view    `json:"tasks"`
	Failures []failure `json:"failures"`
}

func (s *Service) checkCluster(arn string) error {
	if arn != s.Cluster {
		return awsjson.Errorf("ClusterNotFoundException", "no cluster %s", arn)
	}
	return nil
}

type stopTaskInput struct{ Cluster, Task, Reason string }
type stopTaskOutput struct {
	Task view `json:"task"`
}

func (s *Service) stopTask(_ context.Context, in stopTaskInput) (stopTaskOutput, error) {
	if err := s.checkCluster(in.Cluster); err != nil {
		return stopTaskOutput{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[in.Task]
	if t == nil {
		return stopTaskOutput{}, awsjson.Errorf("InvalidParameterException", "The referenced task was not found.")
	}
	t.stopOnce.Do(func() {
		t.stopReason, t.stopping = in.Reason, true
		close(t.stop)
	})
	return stopTaskOutput{t.view()}, nil
}

type describeTasksInput struct {
	Cluster string
	Tasks   []string
}

func (s *Service) describeTasks(_ context.Context, in describeTasksInput) (tasksOutput, error) {
	out := tasksOutput{Tasks: []view{}, Failures: []failure{}}
	if err := s.checkCluster(in.Cluster); err != nil {
		return out, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, arn := range in.Tasks {
		if t := s.tasks[arn]; t != nil {
			out.Tasks = append(out.Tasks, t.view())
		} else {
			out.Failures = append(out.Failures, failure{Arn: arn, Reason: "MISSING"})
		}
	}
	return out, nil
}

// Running lists the ARNs of the tasks that have not stopped.
func (s *Service) Running() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var arns []string
	for arn, t := range s.tasks {
		if t.LastStatus != "STOPPED" {
			arns = append(arns, arn)
		}
	}
	return arns
}

// Doubles counts the tasks that were started while another of the same
// StartedBy was alive. Outpost must never do that.
func (s *Service) Doubles() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doubles
}

// Kill kills a task's first process with SIGKILL, as a crash would, and tells
// whether there was one.
func (s *Service) Kill(arn string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[arn]
	return t != nil && t.process != nil && t.process.Kill() == nil
}

func newTask(r record) *task { return &task{record: r, stop: make(chan struct{})} }

func (s *Service) save(t *task) error {
	return durable.Write(s.file(t, ".json"), t.record)
}

func (s *Service) file(t *task, suffix string) string { return filepath.Join(s.Dir, t.id()+suffix) }

// id is the last part of the ARN.
func (t *task) id() string { return t.ARN[strings.LastIndex(t.ARN, "/")+1:] }

// ended records a task's end, once, and delivers its event.
func (s *Service) ended(t *task, code, reason string, exit int) {
	s.mu.Lock()
	t.LastStatus, t.StopCode, t.StoppedReason, t.ExitCode, t.StoppedAt = "STOPPED", code, reason, exit, s.Clock.Now()
	err := s.save(t)
	s.mu.Unlock()
	if err != nil {
		s.Log("ecs: the end of task %s is not kept: %v", t.id(), err)
	}
	s.work.Go(func() { s.deliver(t) })
}

// deliver hands the task's last event over until that succeeds.
func (s *Service) deliver(t *task) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		s.mu.Lock()
		event := t.event()
		s.mu.Unlock()
		err := s.Deliver(s.ctx, event)
		if err == nil {
			s.mu.Lock()
			t.Delivered = true
			_ = s.save(t) // else it is delivered once more
			s.mu.Unlock()
			return
		}
		s.Log("ecs: deliver the end of task %s: %v", t.id(), err)
		select {
		case <-s.Clock.After(wait):
		case <-s.ctx.Done():
			return
		}
	}
}
