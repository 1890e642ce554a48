// Package live shows the runs of a task while they work. On a terminal it is a
// table that is drawn over itself; anywhere else each change is a line of its
// own, so that a log file stays readable.
package live

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/compare"
	"outpost/cmd/outpost/internal/table"
	"outpost/shared/clock"
	"outpost/shared/task"
)

// View shows a task. It is used by one goroutine.
type View interface {
	// Show shows how the task stands.
	Show(client.Task)
	// Event tells of one event of a run.
	Event(client.Event)
	// Note writes a line of its own.
	Note(string)
	// Close leaves the last picture and the terminal as it was.
	Close()
}

// New returns the view that suits the file: a table on a terminal that can move
// its cursor, else lines.
func New(f *os.File, getenv func(string) string, c clock.Clock) View {
	if !Terminal(f) || getenv("TERM") == "dumb" {
		return &lines{out: f, clock: c, states: map[string]string{}, names: map[string]string{}}
	}
	size := func() (width, height int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}
	return &screen{out: f, clock: c, size: size, colour: Colour(f, getenv), now: map[string]string{}}
}

// Terminal tells whether a person looks at the file.
func Terminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Colour tells whether the file is a terminal on which colours are welcome.
func Colour(f *os.File, getenv func(string) string) bool {
	return Terminal(f) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// screen draws over itself.
type screen struct {
	out    io.Writer
	clock  clock.Clock
	size   func() (width, height int)
	colour bool

	task  client.Task
	now   map[string]string // what each run did last, by id
	drawn int               // lines of the picture on the terminal
}

var columns = []table.Column{
	{Title: "RUN", Align: table.Right}, {Title: "AGENT"}, {Title: "MODEL"}, {Title: "STATE"}, {Title: "SECONDS", Align: table.Right}, {Title: "NOW"},
}

func (s *screen) Show(t client.Task) {
	s.task = t
	s.draw()
}

func (s *screen) Event(e client.Event) { s.now[e.Run] = brief(e) }

func (s *screen) Note(text string) {
	s.erase()
	fmt.Fprintln(s.out, table.CleanBlock(text))
	s.draw()
}

func (s *screen) Close() {
	if s.drawn > 0 {
		fmt.Fprint(s.out, showCursor+"\n")
	}
	s.drawn = 0
}

// The terminal's sequences.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	noWrap     = "\x1b[?7l" // a wide character must not make a second line
	wrap       = "\x1b[?7h"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
)

func (s *screen) draw() {
	if s.task.ID == "" {
		return
	}
	picture := s.picture()
	var b strings.Builder
	b.WriteString(s.up() + hideCursor + noWrap)
	for _, line := range picture {
		b.WriteString(line + clearLine + "\n")
	}
	b.WriteString(clearBelow + wrap)
	s.drawn = len(picture)
	_, _ = io.WriteString(s.out, b.String())
}

func (s *screen) erase() { _, _ = io.WriteString(s.out, s.up()+clearBelow); s.drawn = 0 }

// up moves to where the picture begins.
func (s *screen) up() string {
	if s.drawn == 0 {
		return "\r"
	}
	return fmt.Sprintf("\r\x1b[%dA", s.drawn)
}

// picture is the table, not higher than the terminal: what has scrolled away
// cannot be drawn over.
func (s *screen) picture() []string {
	width, height := s.size()
	rows := make([][]table.Cell, len(s.task.Runs))
	for i, r := range s.task.Runs {
		doing := s.now[r.ID]
		if r.State.Terminal() {
			doing = compare.Why(r)
			if r.Patch != nil && doing == "" {
				doing = fmt.Sprintf("+%d -%d in %s", r.Patch.Additions, r.Patch.Deletions, table.Count(r.Patch.Files, "file"))
			}
		}
		rows[i] = []table.Cell{
			{Text: fmt.Sprint(r.Number)}, {Text: r.Agent}, {Text: r.Model}, {Text: shown(r), Style: compare.Style(r.State)},
			{Text: s.seconds(r)}, {Text: doing, Style: table.Dim},
		}
	}
	title, _ := table.Cut(table.Clean(fmt.Sprintf("%s  %s  %s", s.task.ID, s.task.State, s.task.Repo)), width)
	picture := append([]string{table.Paint(title, table.Strong, s.colour)}, table.Lines(columns, rows, width, s.colour)...)
	if room := max(height-1, 2); len(picture) > room {
		rest := len(picture) - room + 1
		picture = append(picture[:room-1], fmt.Sprintf("… and %d more", rest))
	}
	return picture
}

func (s *screen) seconds(r client.Run) string {
	switch {
	case r.DurationSeconds != nil:
		return fmt.Sprintf("%.1f", *r.DurationSeconds)
	case r.StartedAt.IsZero():
		return ""
	default: // this machine's clock and the service's may differ
		return fmt.Sprintf("%.0f", max(0, s.clock.Now().Sub(r.StartedAt).Seconds()))
	}
}

// shown is a run's state, with a cancel that is on its way.
func shown(r client.Run) string {
	if !r.CancelRequestedAt.IsZero() && !r.State.Terminal() {
		return "cancelling"
	}
	if r.Attempt > 1 && !r.State.Terminal() {
		return fmt.Sprintf("%s (attempt %d)", r.State, r.Attempt)
	}
	return string(r.State)
}

// maxBrief is how much of an event is shown, in characters.
const maxBrief = 200

func brief(e client.Event) string {
	text := e.Kind + ": " + e.Text
	short, _ := table.Cut(table.Clean(text), maxBrief)
	return short
}

// lines appends.
type lines struct {
	out    io.Writer
	clock  clock.Clock
	states map[string]string // last told state, by id
	names  map[string]string // "run 1 (claude)", by id
}

func (l *lines) Show(t client.Task) {
	for _, r := range t.Runs {
		name := fmt.Sprintf("run %d (%s)", r.Number, r.Agent)
		l.names[r.ID] = name
		state := shown(r)
		if l.states[r.ID] == state {
			continue
		}
		l.states[r.ID] = state
		if why := compare.Why(r); why != "" {
			state += ": " + why
		}
		l.line(name + " " + state)
	}
}

// Event tells of phases only: the rest is what "outpost logs" is for.
func (l *lines) Event(e client.Event) {
	if name := l.names[e.Run]; name != "" && e.Kind == task.EventPhase {
		l.line(name + " " + brief(e))
	}
}

func (l *lines) Note(text string) { fmt.Fprintln(l.out, table.CleanBlock(text)) }

func (l *lines) Close() {}

func (l *lines) line(text string) {
	fmt.Fprintln(l.out, l.clock.Now().Local().Format(time.TimeOnly), table.Clean(text))
}
