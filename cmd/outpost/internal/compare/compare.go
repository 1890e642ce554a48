// Package compare shows the runs of a task side by side, best first, and says
// why each of the others ended as it did.
package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
	"outpost/shared/task"
)

var columns = []table.Column{
	{Title: "RANK", Align: table.Right}, {Title: "RUN", Align: table.Right}, {Title: "AGENT"}, {Title: "MODEL"}, {Title: "STATE"}, {Title: "VERIFY"},
	{Title: "FILES", Align: table.Right}, {Title: "+", Align: table.Right}, {Title: "-", Align: table.Right},
	{Title: "TOKENS IN", Align: table.Right}, {Title: "OUT", Align: table.Right},
	{Title: "COST", Align: table.Right}, {Title: "SECONDS", Align: table.Right},
}

// Lines returns the table and, below it, a line for each run that ended
// otherwise than well.
func Lines(t client.Task, colour bool) []string {
	runs := slices.Clone(t.Runs)
	slices.SortStableFunc(runs, func(a, b client.Run) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Number, b.Number))
	})
	rows := make([][]table.Cell, len(runs))
	for i, r := range runs {
		rows[i] = row(r)
	}
	lines := table.Lines(columns, rows, 0, colour)
	for _, r := range runs {
		if why := Why(r); why != "" {
			lines = append(lines, table.Clean(fmt.Sprintf("run %d (%s): %s", r.Number, r.Agent, why)))
		}
	}
	return lines
}

// Total sums what the runs cost, and tells whether every cost is known.
func Total(t client.Task) (usd float64, known bool) {
	known = true
	for _, r := range t.Runs {
		switch {
		case r.Usage == nil:
		case r.Usage.CostUSD == nil:
			known = false
		default:
			usd += *r.Usage.CostUSD
		}
	}
	return usd, known
}

// Why says in a sentence or two why a run ended otherwise than well; empty
// when it did not.
func Why(r client.Run) string {
	if r.Reason == nil {
		return ""
	}
	sentence := r.Reason.Code.Info().Sentence
	if sentence == "" { // a newer Outpost's
		sentence = string(r.Reason.Code) + "."
	}
	if r.Reason.Detail == "" || r.Reason.Detail == sentence {
		return sentence
	}
	return sentence + " " + r.Reason.Detail
}

// Style is the colour of a run's state.
func Style(s task.State) table.Style {
	switch s {
	case task.Succeeded:
		return table.Good
	case task.Failed, task.TimedOut:
		return table.Bad
	case task.Starting, task.Running:
		return table.Busy
	default:
		return table.Plain
	}
}

func place(r client.Run) int {
	if r.Rank == nil {
		return 1 << 30
	}
	return *r.Rank
}

func row(r client.Run) []table.Cell {
	cells := make([]table.Cell, len(columns))
	put := func(i int, text string) { cells[i].Text = text }
	for i := range cells {
		put(i, "-")
	}
	if r.Rank != nil {
		put(0, strconv.Itoa(*r.Rank))
	}
	put(1, strconv.Itoa(r.Number))
	put(2, r.Agent)
	put(3, r.Model)
	cells[4] = table.Cell{Text: string(r.State), Style: Style(r.State)}
	if r.Verify != nil {
		cells[5] = verify(*r.Verify)
	}
	if r.Patch != nil {
		put(6, strconv.Itoa(r.Patch.Files))
		put(7, strconv.Itoa(r.Patch.Additions))
		put(8, strconv.Itoa(r.Patch.Deletions))
	}
	if r.Usage != nil {
		put(9, grouped(r.Usage.InputTokens))
		put(10, grouped(r.Usage.OutputTokens))
		put(11, Cost(r.Usage.CostUSD))
	}
	if r.DurationSeconds != nil {
		put(12, strconv.FormatFloat(*r.DurationSeconds, 'f', 1, 64))
	}
	return cells
}

func verify(v client.Verify) table.Cell {
	switch v.State {
	case task.VerifyPassed:
		return table.Cell{Text: "passed", Style: table.Good}
	case task.VerifyFailed:
		text := "failed"
		if v.ExitCode != nil {
			text += " (" + strconv.Itoa(*v.ExitCode) + ")"
		}
		return table.Cell{Text: text, Style: table.Bad}
	case task.VerifyNone, "":
		return table.Cell{Text: "-"}
	default:
		return table.Cell{Text: string(v.State), Style: table.Bad}
	}
}

// Cost writes dollars with the cents that matter; "?" for a model whose price
// is not known.
func Cost(usd *float64) string {
	if usd == nil {
		return "?"
	}
	if *usd > 0 && *usd < 0.01 {
		return fmt.Sprintf("$%.5f", *usd)
	}
	return fmt.Sprintf("$%.2f", *usd)
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, d := range s {
		if i > 0 && s[i-1] != '-' && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
