package main

import (
	"fmt"
	"strings"

	"outpost/cmd/outpost/internal/diffstat"
	"outpost/cmd/outpost/internal/live"
	"outpost/cmd/outpost/internal/table"
	"outpost/shared/task"
)

type diffCommand struct {
	Stat bool   `help:"Write which files the patch changes, and how much."`
	ID   target `arg:"" help:"Run, or a task for its best run."`
}

func (c *diffCommand) Run(s *session) error {
	run := string(c.ID)
	if !c.ID.isRun() {
		t, err := s.api.Task(s.ctx, run)
		if err != nil {
			return err
		}
		switch {
		case t.BestRun != "":
			run = t.BestRun
		case t.State == task.Completed:
			return failed("no run of %s succeeded: there is no patch", t.ID)
		default:
			return failed("no run of %s has succeeded yet: %d of %d have not ended", t.ID, t.RunCounts.Remaining, t.RunCounts.Total)
		}
	}
	patch, err := s.api.Diff(s.ctx, run)
	if err != nil {
		return err
	}
	switch {
	case c.Stat:
		return s.showStat(diffstat.Parse(patch))
	case live.Terminal(s.stdout):
		// What an agent wrote must not drive the reader's terminal.
		_, err = s.stdout.WriteString(table.CleanBlock(string(patch)))
	default:
		_, err = s.stdout.Write(patch)
	}
	return err
}

func (s *session) showStat(files []diffstat.File) error {
	var rows [][]table.Cell
	added, deleted := 0, 0
	for _, f := range files {
		added, deleted = added+f.Added, deleted+f.Deleted
		change := table.Cell{Text: fmt.Sprintf("+%d -%d", f.Added, f.Deleted)}
		if f.Binary {
			change.Text = "binary"
		}
		rows = append(rows, []table.Cell{{Text: f.Name}, change, {Text: f.Kind}})
	}
	lines := table.Lines([]table.Column{{Title: "FILE"}, {Title: "CHANGE"}, {}}, rows, 0, live.Colour(s.stdout, s.getenv))
	_, err := fmt.Fprintf(s.stdout, "%s\n%s, +%d -%d\n", strings.Join(lines, "\n"), table.Count(len(files), "file"), added, deleted)
	return err
}
