package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
)

type usageCommand struct {
	From string `placeholder:"DAY" help:"The first UTC day, as 2026-11-01 (default: of this month)."`
	To   string `placeholder:"DAY" help:"The last UTC day (default: today)."`
	By   string `default:"agent" placeholder:"PART" help:"agent, model or day (default: agent)."`
	JSON bool   `name:"json" help:"Write the API's answer as one JSON object."`
}

func (c *usageCommand) Run(s *session) error {
	u, err := s.api.Usage(s.ctx, c.From, c.To, c.By)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(u)
	}
	right := func(title string) table.Column { return table.Column{Title: title, Align: table.Right} }
	columns := []table.Column{{Title: strings.ToUpper(u.By)}, right("RUNS"), right("SUCCEEDED"), right("INPUT"), right("OUTPUT"), right("TIME"), right("COST")}
	var rows [][]table.Cell
	for _, g := range u.Data {
		rows = append(rows, usageRow(g.Name, g.Sum))
	}
	rows = append(rows, usageRow("today", u.Today.Sum), usageRow(u.From+" to "+u.To, u.Total.Sum))
	if err := s.writeTable(columns, rows); err != nil {
		return err
	}
	if n := u.Total.RunsWithoutPrice; n > 0 {
		fmt.Fprintf(s.stderr, "Runs whose cost is not known, and not in these sums: %d.\n", n)
	}
	return nil
}

func usageRow(name string, u client.Sum) []table.Cell {
	runs := u.Runs.Succeeded + u.Runs.Failed + u.Runs.TimedOut + u.Runs.Cancelled
	took := time.Duration(u.AgentSeconds * float64(time.Second)).Round(time.Second)
	return []table.Cell{{Text: name, Style: table.Strong}, {Text: strconv.Itoa(runs)}, {Text: strconv.Itoa(u.Runs.Succeeded)},
		{Text: strconv.FormatInt(u.InputTokens, 10)}, {Text: strconv.FormatInt(u.OutputTokens, 10)}, {Text: took.String()},
		{Text: fmt.Sprintf("$%.2f", u.CostUSD)}}
}
