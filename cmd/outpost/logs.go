package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
)

// longPoll is how long the API may hold back an empty page of a run's events.
const longPoll = 20 * time.Second

type logsCommand struct {
	Follow bool   `short:"f" help:"Go on until the task or run has ended."`
	JSON   bool   `name:"json" help:"Write each event as a line of JSON."`
	ID     target `arg:"" help:"Task or run."`
}

func (c *logsCommand) Run(s *session) error {
	out := eventWriter{session: s, json: c.JSON, names: map[string]string{}}
	if c.ID.isRun() {
		return c.run(s, out)
	}
	return c.task(s, out)
}

// run reads a run's events; the API itself waits for the next one.
func (c *logsCommand) run(s *session, out eventWriter) error {
	wait := time.Duration(0)
	if c.Follow {
		wait = longPoll
	}
	for cursor := ""; ; {
		page, err := s.api.RunEvents(s.ctx, string(c.ID), cursor, wait)
		if err != nil {
			return err
		}
		if err := out.write(page.Data); err != nil {
			return err
		}
		if page.Ended() || (!c.Follow && !page.HasMore) {
			return nil
		}
		cursor = page.NextCursor
	}
}

// task reads the events of all runs, and looks again from time to time.
func (c *logsCommand) task(s *session, out eventWriter) error {
	t, err := s.api.Task(s.ctx, string(c.ID))
	if err != nil {
		return err
	}
	for _, r := range t.Runs {
		out.names[r.ID] = fmt.Sprintf("%d %s", r.Number, r.Agent)
	}
	began := s.clock.Now()
	for cursor := ""; ; {
		page, err := s.api.TaskEvents(s.ctx, t.ID, cursor)
		if err != nil {
			return err
		}
		if err := out.write(page.Data); err != nil {
			return err
		}
		if page.Ended() || (!c.Follow && !page.HasMore) {
			return nil
		}
		if cursor = page.NextCursor; page.HasMore {
			continue
		}
		select {
		case <-s.clock.After(interval(s.clock.Now().Sub(began))):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

// eventWriter writes events to stdout.
type eventWriter struct {
	session *session
	json    bool
	names   map[string]string // of runs, by id; empty when all are of one run
}

func (w eventWriter) write(events []client.Event) error {
	var b strings.Builder
	for _, e := range events {
		if w.json {
			line, err := json.Marshal(e)
			if err != nil {
				return fmt.Errorf("encode an event: %w", err)
			}
			b.Write(append(line, '\n'))
			continue
		}
		b.WriteString(e.At.Local().Format(time.TimeOnly))
		if name := w.names[e.Run]; name != "" {
			fmt.Fprintf(&b, "  %-9s", table.Clean(name))
		}
		// What follows the first line of a text stands below it.
		text := strings.ReplaceAll(strings.TrimRight(table.CleanBlock(e.Text), "\n "), "\n", "\n          ")
		fmt.Fprintf(&b, "  %-7s  %s\n", table.Clean(e.Kind), text)
	}
	_, err := w.session.stdout.WriteString(b.String())
	return err
}
