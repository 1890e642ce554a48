package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/compare"
	"outpost/cmd/outpost/internal/table"
	"outpost/shared/task"
)

type listCommand struct {
	State string `placeholder:"STATE" help:"Only tasks in this state: queued, running or completed."`
	Agent string `placeholder:"AGENT" help:"Only tasks with a run of this agent."`
	Repo  string `placeholder:"URL" help:"Only tasks of exactly this repository."`
	Tag   string `placeholder:"TAG" help:"Only tasks with this tag."`
	Since string `placeholder:"WHEN" help:"Only tasks created at this time or later: a time, a day, or how long ago (2026-11-23T10:00:00Z, 2026-11-23, 36h)."`
	Until string `placeholder:"WHEN" help:"Only tasks created before this time."`
	Limit int    `default:"20" placeholder:"N" help:"How many at most (default: 20)."`
	JSON  bool   `name:"json" help:"Write one JSON array of the API's tasks."`
}

func (c *listCommand) Run(s *session) error {
	if c.Limit < 1 {
		return usage("--limit must be at least 1")
	}
	filter := client.TaskFilter{State: c.State, Agent: c.Agent, Repo: c.Repo, Tag: c.Tag}
	var err error
	if filter.Since, filter.Until, err = s.between(c.Since, c.Until); err != nil {
		return err
	}
	tasks, err := s.api.Tasks(s.ctx, filter, c.Limit)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(tasks)
	}
	columns := []table.Column{{Title: "TASK"}, {Title: "STATE"}, {Title: "SUCCEEDED", Align: table.Right}, {Title: "CREATED"}, {Title: "REPO"}, {Title: "TAGS"}}
	var rows [][]table.Cell
	for _, t := range tasks {
		state, style := string(t.State), table.Busy
		if t.State == task.Completed {
			state, style = string(t.Outcome), compare.Style(task.State(t.Outcome))
		}
		rows = append(rows, []table.Cell{{Text: t.ID}, {Text: state, Style: style},
			{Text: fmt.Sprintf("%d/%d", t.RunCounts.Succeeded, t.RunCounts.Total)},
			{Text: when(t.CreatedAt)}, {Text: t.Repo}, {Text: strings.Join(t.Tags, " ")}})
	}
	return s.writeTable(columns, rows)
}

// between reads what --since and --until say.
func (s *session) between(since, until string) (from, to time.Time, err error) {
	now := s.clock.Now()
	if from, err = moment(since, now); err != nil {
		return from, to, usage("--since: %v", err)
	}
	if to, err = moment(until, now); err != nil {
		return from, to, usage("--until: %v", err)
	}
	return from, to, nil
}

// moment reads a time, a day in local time, or how long ago; empty is none.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return at, nil
	}
	if ago, err := span(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, errors.New("must be a time, a day, or how long ago, as 2026-11-23T10:00:00Z, 2026-11-23 or 36h")
}

// deadline reads a time, a day in local time, or in how long, to the second;
// empty is none.
func deadline(text string, now time.Time) (time.Time, error) {
	if in, err := span(text); err == nil && in > 0 {
		return now.Add(in).UTC().Truncate(time.Second), nil
	}
	at, err := moment(text, now)
	if err != nil || text != "" && !at.After(now) {
		return at, errors.New("must be a time to come, a day, or in how long, as 2026-11-23T10:00:00Z, 2026-11-23 or 90d")
	}
	return at.UTC().Truncate(time.Second), nil
}

// span reads how long something takes: a duration, or days as in 7d.
func span(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(text)
}
