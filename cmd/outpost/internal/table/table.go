// Package table lays out rows in columns for people, and keeps what agents,
// repositories and servers say from driving the reader's terminal.
package table

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Align is the side that a column's cells stand on.
type Align int

// The sides.
const (
	Left Align = iota
	Right
)

// Column is a column's heading and side.
type Column struct {
	Title string
	Align Align
}

// Cell is a text with an optional colour.
type Cell struct {
	Text  string
	Style Style
}

// Lines returns the heading and the rows as lines of equal layout, cells
// cleaned, two spaces between columns. A line longer than width is cut with an
// ellipsis; 0 means any width. Styles show only when colour is set.
func Lines(columns []Column, rows [][]Cell, width int, colour bool) []string {
	widths := make([]int, len(columns))
	head := make([]Cell, len(columns))
	for i, c := range columns {
		head[i] = Cell{Text: c.Title, Style: Dim}
		widths[i] = utf8.RuneCountInString(c.Title)
	}
	clean := make([][]Cell, 0, len(rows)+1)
	clean = append(clean, head)
	for _, row := range rows {
		line := make([]Cell, len(columns))
		for i := range min(len(row), len(columns)) {
			line[i] = Cell{Clean(row[i].Text), row[i].Style}
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i].Text))
		}
		clean = append(clean, line)
	}
	lines := make([]string, len(clean))
	for i, row := range clean {
		lines[i] = layout(columns, widths, row, width, colour)
	}
	return lines
}

func layout(columns []Column, widths []int, row []Cell, width int, colour bool) string {
	var b strings.Builder
	left := width
	for i, cell := range row {
		text := cell.Text
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
		switch {
		case columns[i].Align == Right:
			text = pad + text
		case i < len(row)-1:
			text += pad
		}
		if i > 0 {
			text = "  " + text
		}
		cut := false
		if width > 0 {
			text, cut = Cut(text, left)
			left -= utf8.RuneCountInString(text)
		}
		b.WriteString(Paint(text, cell.Style, colour))
		if cut {
			break
		}
	}
	if line := b.String(); !colour {
		return strings.TrimRight(line, " ")
	}
	return b.String()
}

// Cut shortens s to n runes with an ellipsis, and tells whether it did.
func Cut(s string, n int) (string, bool) {
	if utf8.RuneCountInString(s) <= n {
		return s, false
	}
	if n <= 0 {
		return "", true
	}
	return string([]rune(s)[:n-1]) + "…", true
}

// Count writes a number with its noun, as in "1 file" or "2 files".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Clean makes one harmless line of any text: each run of white space becomes a
// space, and control and formatting characters, with which a text could move
// the cursor, set a title or turn the writing round, become "·".
func Clean(s string) string {
	return strings.Join(strings.Fields(strings.Map(visible, s)), " ")
}

// CleanBlock cleans a text of several lines and keeps them.
func CleanBlock(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return visible(r)
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}

func visible(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case unicode.In(r, unicode.Cc, unicode.Cf):
		return '·'
	default:
		return r
	}
}
