package main

import (
	"strconv"
	"strings"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
)

type auditCommand struct {
	Action string `placeholder:"ACTION" help:"Only events of this action, as task.create or request.refused."`
	Since  string `placeholder:"WHEN" help:"Only events of this time or later: a time, a day, or how long ago (2026-11-23T10:00:00Z, 2026-11-23, 36h)."`
	Until  string `placeholder:"WHEN" help:"Only events before this time."`
	Limit  int    `default:"20" placeholder:"N" help:"How many at most (default: 20)."`
	JSON   bool   `name:"json" help:"Write one JSON array of the API's events."`
}

func (c *auditCommand) Run(s *session) error {
	if c.Limit < 1 {
		return usage("--limit must be at least 1")
	}
	filter := client.AuditFilter{Action: c.Action}
	var err error
	if filter.Since, filter.Until, err = s.between(c.Since, c.Until); err != nil {
		return err
	}
	events, err := s.api.Audit(s.ctx, filter, c.Limit)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(events)
	}
	columns := []table.Column{{Title: "WHEN"}, {Title: "ACTION"}, {Title: "BY"}, {Title: "OF"}, {Title: "TIMES", Align: table.Right}, {Title: "FROM"}, {Title: "WHAT"}}
	var rows [][]table.Cell
	for _, e := range events {
		rows = append(rows, []table.Cell{{Text: when(e.At)}, {Text: e.Action, Style: table.Strong}, {Text: e.Actor}, {Text: e.Target},
			{Text: strconv.Itoa(e.Count)}, {Text: e.Address}, {Text: whatChanged(e)}})
	}
	return s.writeTable(columns, rows)
}

// whatChanged is an event's detail and its changes on one line.
func whatChanged(e client.AuditEvent) string {
	var parts []string
	if e.Detail != "" {
		parts = append(parts, e.Detail)
	}
	for _, c := range e.Changes {
		switch {
		case c.Before == "":
			parts = append(parts, c.Field+" "+c.After)
		case c.After == "":
			parts = append(parts, "no "+c.Field+" (was "+c.Before+")")
		default:
			parts = append(parts, c.Field+" "+c.Before+" → "+c.After)
		}
	}
	return strings.Join(parts, ", ")
}
