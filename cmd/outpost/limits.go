package main

import (
	"fmt"
	"strings"
	"time"
)

type limitsCommand struct {
	JSON bool `name:"json" help:"Write the API's answer as one JSON object."`
}

func (c *limitsCommand) Run(s *session) error {
	l, err := s.api.Limits(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(l)
	}
	today := fmt.Sprintf("%d, without limit", l.RunsToday.Used)
	if l.RunsToday.Limit != nil {
		today = fmt.Sprintf("%d of %d, from 0 again at %s", l.RunsToday.Used, *l.RunsToday.Limit, when(l.RunsToday.ResetsAt))
	}
	return s.showFacts([][2]string{
		{"plan", l.Plan}, {"state", l.State}, {"runs today", today},
		{"at once", fmt.Sprintf("%d of %d, %d waiting", l.ConcurrentRuns.Running, l.ConcurrentRuns.Limit, l.ConcurrentRuns.Waiting)},
		{"agents", strings.Join(l.Agents, " ")}, {"time-out", "up to " + seconds(l.MaxTimeoutSeconds)}, {"requests", fmt.Sprintf("up to %d a minute", l.RequestsPerMinute)},
	})
}

func seconds(n int) string { return (time.Duration(n) * time.Second).String() }
