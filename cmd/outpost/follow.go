package main

import (
	"errors"
	"fmt"
	"time"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/live"
	"outpost/shared/task"
)

const (
	// patience is how long a follower puts up with an API that does not answer:
	// the task goes on without it.
	patience = 2 * time.Minute
	// maxPages bounds the events that are read before the picture is drawn.
	maxPages = 20
)

// interval is the pause between two looks at a task: short at first, longer for
// a task that takes its time.
func interval(since time.Duration) time.Duration {
	switch {
	case since < time.Minute:
		return 500 * time.Millisecond
	case since < 10*time.Minute:
		return 2 * time.Second
	default:
		return 5 * time.Second
	}
}

// follow shows a task on stderr until it is completed, and returns it.
func (s *session) follow(t client.Task) (client.Task, error) {
	view := live.New(s.stderr, s.getenv, s.clock)
	defer view.Close()
	s.holdInterrupt(true)
	defer s.holdInterrupt(false)
	view.Show(t)
	f := follower{api: s.api, view: view, task: t}
	began, answered, told := s.clock.Now(), s.clock.Now(), false
	for {
		err := f.look(s)
		switch {
		case err == nil && f.task.State == task.Completed:
			return f.task, nil
		case err == nil:
			answered, told = s.clock.Now(), false
		case !temporary(err) || s.clock.Now().Sub(answered) >= patience:
			return t, fmt.Errorf("%w\n  The task goes on: outpost get %s", err, t.ID)
		case !told:
			told = true
			view.Note("Outpost does not answer; trying again for two minutes. The task goes on.")
		}
		select {
		case <-s.held:
			view.Note("The task goes on. Cancel it:  outpost cancel " + t.ID + "\nLook again later:  outpost get " + t.ID + "   (Ctrl-C once more leaves now)")
		case <-s.clock.After(interval(s.clock.Now().Sub(began))):
		case <-s.ctx.Done():
			return t, s.ctx.Err()
		}
	}
}

// holdInterrupt makes the next interrupt be told in place of ending the session.
func (s *session) holdInterrupt(hold bool) {
	select {
	case s.hold <- hold:
	case <-s.ctx.Done():
	}
}

// temporary tells an API that is away from one that refuses.
func temporary(err error) bool {
	var refused *client.Error
	var unreachable *client.Unreachable
	return errors.As(err, &unreachable) || (errors.As(err, &refused) && refused.Retryable)
}

// follower reads a task and the events since the last look.
type follower struct {
	api    *client.Client
	view   live.View
	task   client.Task
	cursor string
}

func (f *follower) look(s *session) error {
	t, err := f.api.Task(s.ctx, f.task.ID)
	if err != nil {
		return err
	}
	for range maxPages {
		page, err := f.api.TaskEvents(s.ctx, t.ID, f.cursor)
		if err != nil {
			return err
		}
		for _, e := range page.Data {
			f.view.Event(e)
		}
		f.cursor = page.NextCursor
		if !page.HasMore {
			break
		}
	}
	f.task = t
	f.view.Show(t)
	return nil
}
