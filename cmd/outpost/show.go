package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/live"
	"outpost/cmd/outpost/internal/table"
	"outpost/shared/id"
	"outpost/shared/task"
)

// target is the id of a task or a run on the command line.
type target string

func (t target) isRun() bool {
	_, _, err := id.SplitRun(string(t))
	return err == nil
}

// Validate is called by the parser.
func (t target) Validate() error {
	if _, err := id.ULID(id.Task, string(t)); err == nil || t.isRun() {
		return nil
	}
	return fmt.Errorf("%q is no id of a task (tsk_…) and none of a run (run_…)", string(t))
}

type getCommand struct {
	JSON bool   `name:"json" help:"Write the API's JSON."`
	ID   target `arg:"" help:"Task or run."`
}

func (c *getCommand) Run(s *session) error {
	if c.ID.isRun() {
		r, err := s.api.Run(s.ctx, string(c.ID))
		if err != nil {
			return err
		}
		if c.JSON {
			return s.writeJSON(r)
		}
		return s.showRun(r)
	}
	t, err := s.api.TaskInQueue(s.ctx, string(c.ID))
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(t)
	}
	state := string(t.State)
	if t.State == task.Completed {
		state = string(t.Outcome)
	}
	facts := [][2]string{
		{"task", t.ID}, {"state", state}, {"queue", place(t.Queue)}, {"repo", t.Repo}, {"ref", t.Ref}, {"commit", t.Commit}, {"prompt", firstLine(t.Prompt)},
		{"verify", t.Verify}, {"tags", strings.Join(t.Tags, " ")}, {"created", when(t.CreatedAt)}, {"ended", when(t.FinishedAt)},
	}
	if err := s.showFacts(facts); err != nil {
		return err
	}
	fmt.Fprintln(s.stdout)
	return s.summary(t)
}

// place says where a task stands in the queue; nothing for one that does not wait.
func place(q *client.Queue) string {
	if q == nil || q.Position == nil {
		return ""
	}
	text := fmt.Sprintf("place %d of your own", *q.Position)
	if !q.EstimatedStartAt.IsZero() {
		text += ", may start at about " + when(q.EstimatedStartAt)
	}
	return text
}

func (s *session) showRun(r client.Run) error {
	err := s.showFacts([][2]string{
		{"run", r.ID}, {"task", r.Task}, {"started", when(r.StartedAt)}, {"ended", when(r.FinishedAt)}, {"isolation", r.Isolation},
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(s.stdout)
	return s.summary(client.Task{Runs: []client.Run{r}})
}

// showFacts writes names and values, without those that are empty.
func (s *session) showFacts(facts [][2]string) error {
	var b strings.Builder
	for _, f := range facts {
		if f[1] != "" {
			fmt.Fprintf(&b, "%-10s %s\n", f[0], table.Clean(f[1]))
		}
	}
	_, err := io.WriteString(s.stdout, b.String())
	return err
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

func firstLine(s string) string {
	line, _, more := strings.Cut(strings.TrimSpace(s), "\n")
	short, cut := table.Cut(line, 100)
	if more && !cut {
		short += " …"
	}
	return short
}

type agentsCommand struct {
	JSON bool `name:"json" help:"Write one JSON array of the API's agents."`
}

func (c *agentsCommand) Run(s *session) error {
	agents, err := s.api.Agents(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(agents)
	}
	columns := []table.Column{{Title: "AGENT"}, {Title: "TITLE"}, {Title: "DEFAULT MODEL"}, {Title: "MODELS"}, {Title: "NEEDS ONE OF"}}
	var rows [][]table.Cell
	for _, a := range agents {
		rows = append(rows, []table.Cell{{Text: a.Name, Style: table.Strong}, {Text: a.Title}, {Text: a.DefaultModel},
			{Text: strings.Join(a.Models, "* ") + "*"}, {Text: strings.Join(a.Secrets, " ")}})
	}
	return s.writeTable(columns, rows)
}

func (s *session) writeTable(columns []table.Column, rows [][]table.Cell) error {
	lines := table.Lines(columns, rows, 0, live.Colour(s.stdout, s.getenv))
	_, err := io.WriteString(s.stdout, strings.Join(lines, "\n")+"\n")
	return err
}
