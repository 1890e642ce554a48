package settlementtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"outpost/shared/fleet"
	"outpost/shared/task"
	"outpost/shared/workflow"
)

// Fleet is the world's containers, seen through a Cut.
func (w *World) Fleet(c *Cut) Fleet { return Fleet{w, c} }

// Fleet launches and stops containers that only exist in the world's books.
type Fleet struct {
	w   *World
	cut *Cut
}

// Refuse makes every launch of a new container fail; nil ends that.
func (w *World) Refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusal = err
}

// Launch starts a container, or returns the one that the same launch started
// before; the same token with other parameters, and a second live container of
// a run, fail the test.
func (f Fleet) Launch(_ context.Context, k fleet.Container) (arn string, err error) {
	err = f.cut.do(func() error {
		f.w.mu.Lock()
		defer f.w.mu.Unlock()
		arn = fmt.Sprintf("arn:%s-%d", k.Run, k.Attempt)
		if old := f.w.containers[arn]; old != nil {
			if fmt.Sprint(old.Container) != fmt.Sprint(k) {
				f.w.T.Errorf("attempt %d is launched again as another container", k.Attempt)
			}
			return nil
		}
		if f.w.refusal != nil {
			return f.w.refusal
		}
		for other, c := range f.w.containers {
			if c.live && c.Run == k.Run {
				f.w.T.Errorf("%s is launched while %s lives", arn, other)
			}
		}
		f.w.containers[arn] = &container{k, true}
		return nil
	})
	return arn, err
}

// Stop stops a container at once.
func (f Fleet) Stop(_ context.Context, arn, _ string) (stopped bool, err error) {
	err = f.cut.do(func() error {
		f.w.mu.Lock()
		defer f.w.mu.Unlock()
		if c := f.w.containers[arn]; c != nil {
			c.live = false
		}
		return nil
	})
	return err == nil, err
}

// Look tells whether a container has stopped.
func (f Fleet) Look(_ context.Context, arn string) (s fleet.Stopped, stopped bool, err error) {
	err = f.cut.do(func() error {
		f.w.mu.Lock()
		defer f.w.mu.Unlock()
		f.w.looks++
		switch c := f.w.containers[arn]; {
		case c == nil:
			s, stopped = fleet.Stopped{Container: arn, ExitCode: -1}, true
		case !c.live:
			s, stopped = fleet.Stopped{Tenant: c.Tenant, Run: c.Run, Attempt: c.Attempt, Container: arn, ExitCode: 137, StopCode: "EssentialContainerExited"}, true
		}
		return nil
	})
	return s, err == nil && stopped, err
}

// Looks counts how often anybody looked after a container.
func (w *World) Looks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looks
}

// Live lists the attempts of a run whose containers live.
func (w *World) Live(runID string) (attempts []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.containers {
		if c.live && c.Run == runID {
			attempts = append(attempts, c.Attempt)
		}
	}
	slices.Sort(attempts)
	return attempts
}

// Alive lists the containers that live, of all runs.
func (w *World) Alive() (alive []fleet.Container) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.containers {
		if c.live {
			alive = append(alive, c.Container)
		}
	}
	slices.SortFunc(alive, func(a, b fleet.Container) int {
		return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.Attempt, b.Attempt))
	})
	return alive
}

// Launched returns the container of an attempt, and whether there ever was one.
func (w *World) Launched(runID string, attempt int) (fleet.Container, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.containers[fmt.Sprintf("arn:%s-%d", runID, attempt)]
	if c == nil {
		return fleet.Container{}, false
	}
	return c.Container, true
}

// Workflow is the world's executions, seen through a Cut.
func (w *World) Workflow(c *Cut) Workflow { return Workflow{w, c} }

// Workflow keeps executions that are no more than their status.
type Workflow struct {
	w   *World
	cut *Cut
}

// SetExecution sets where the execution of the run's present start stands.
func (w *World) SetExecution(r task.Run, s workflow.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.executions[workflow.Input{Run: r.ID, Start: r.Starts}.Name()] = s
}

// Start opens an execution.
func (m Workflow) Start(_ context.Context, in workflow.Input) error {
	return m.cut.do(func() error {
		m.w.mu.Lock()
		defer m.w.mu.Unlock()
		if m.w.executions[in.Name()] == workflow.Closed {
			return workflow.ErrClosed
		}
		m.w.executions[in.Name()] = workflow.Open
		return nil
	})
}

// Describe tells where an execution stands.
func (m Workflow) Describe(_ context.Context, in workflow.Input) (s workflow.Status, err error) {
	err = m.cut.do(func() error {
		m.w.mu.Lock()
		defer m.w.mu.Unlock()
		if s = m.w.executions[in.Name()]; s == "" {
			s = workflow.Missing
		}
		return nil
	})
	return s, err
}

// Answer notes an answered token.
func (m Workflow) Answer(_ context.Context, token string) error {
	return m.cut.do(func() error {
		m.w.mu.Lock()
		defer m.w.mu.Unlock()
		m.w.answered = append(m.w.answered, token)
		return nil
	})
}

// Executions lists the open executions of a run.
func (w *World) Executions(runID string) (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, s := range w.executions {
		if strings.HasPrefix(name, runID+"-") && s == workflow.Open {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Answered tells whether a token was answered.
func (w *World) Answered(token string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.answered, token)
}

// Waker is the world's queue of wakeups, seen through a Cut.
func (w *World) Waker(c *Cut) Waker { return Waker{w, c} }

// Waker notes wakeups.
type Waker struct {
	w   *World
	cut *Cut
}

// Wake notes one.
func (k Waker) Wake(_ context.Context, tenant string) error {
	return k.cut.do(func() error {
		k.w.mu.Lock()
		defer k.w.mu.Unlock()
		k.w.woken = append(k.w.woken, tenant)
		return nil
	})
}

// Woken lists the wakeups in order.
func (w *World) Woken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.woken)
}
