package main

import (
	"bytes"
	"sync"
)

// lineEvents tells the first lines of a command's output. Standard output and
// error may write to it at once.
type lineEvents struct {
	tell func(line string)

	mu   sync.Mutex
	rest []byte
	told int
}

func (l *lineEvents) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := p; len(rest) > 0 && l.told <= maxCommandLines; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if room := maxCommandLine - len(l.rest); len(line) > room {
			line = line[:room] // a longer line loses its end
		}
		l.rest = append(l.rest, line...)
		if whole {
			l.line()
		}
		rest = after
	}
	return len(p), nil
}

// end tells a last line that has no end.
func (l *lineEvents) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 && l.told <= maxCommandLines {
		l.line()
	}
}

func (l *lineEvents) line() {
	text := string(l.rest)
	l.rest = l.rest[:0]
	if l.told++; l.told > maxCommandLines {
		text = "More output is in the log."
	}
	if text != "" {
		l.tell(text)
	}
}
