package table_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"outpost/cmd/outpost/internal/table"
)

var columns = []table.Column{{Title: "NAME"}, {Title: "N", Align: table.Right}, {Title: "NOTE"}}

func TestColumnsStandUnderTheirTitles(t *testing.T) {
	got := table.Lines(columns, [][]table.Cell{{{Text: "a"}, {Text: "1000"}, {Text: "x"}}, {{Text: "longer"}, {Text: "7"}}}, 0, false)
	want := []string{"NAME       N  NOTE", "a       1000  x", "longer     7"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var sequences = regexp.MustCompile("\x1b\\[[0-9]*m")

// Whatever the cells hold, no line is wider than asked, colours change nothing
// of the layout, and nothing but colours can drive the terminal.
func TestLinesKeepToTheWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.Custom(func(t *rapid.T) table.Cell {
			return table.Cell{Text: rapid.String().Draw(t, "text"), Style: table.Style(rapid.IntRange(0, 5).Draw(t, "style"))}
		})
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, 0, 4), 0, 5).Draw(t, "rows")
		width := rapid.IntRange(1, 60).Draw(t, "width")
		plain := table.Lines(columns, rows, width, false)
		coloured := table.Lines(columns, rows, width, true)
		for i := range plain {
			if utf8.RuneCountInString(plain[i]) > width {
				t.Fatalf("wider than %d: %q", width, plain[i])
			}
			bare := sequences.ReplaceAllString(coloured[i], "")
			if strings.TrimRight(bare, " ") != plain[i] {
				t.Fatalf("colours change the layout: %q, %q", bare, plain[i])
			}
			if strings.ContainsFunc(bare, unicode.IsControl) {
				t.Fatalf("control characters: %q", bare)
			}
		}
	})
}

func TestForeignTextCannotDriveTheTerminal(t *testing.T) {
	for _, c := range []struct{ why, text, line, block string }{
		{"plain text stays", "fix the test", "fix the test", "fix the test"},
		{"colours", "\x1b[31mred", "·[31mred", "·[31mred"},
		{"a title, by the eight-bit code", "\u009d0;x\a", "·0;x·", "·0;x·"},
		{"back over what stands there", "no\b\byes", "no··yes", "no··yes"},
		{"lines", "a\r\nb\rc\td", "a b c d", "a\nb c\td"},
		{"writing from right to left", "a\u202eb", "a·b", "a·b"},
		{"other writing stays", "日本語 é", "日本語 é", "日本語 é"},
	} {
		if got := table.Clean(c.text); got != c.line {
			t.Errorf("%s: a line of %q, want %q", c.why, got, c.line)
		}
		if got := table.CleanBlock(c.text); got != c.block {
			t.Errorf("%s: a block of %q, want %q", c.why, got, c.block)
		}
	}
}
