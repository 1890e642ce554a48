// Package diffstat reads from a git patch which files it changes, and how much.
package diffstat

import (
	"bytes"
	"strconv"
	"strings"
)

// File is one file of a patch.
type File struct {
	Name    string // the new one, unless the file is deleted
	Kind    string // "new", "deleted", "renamed", "copied", or empty
	Added   int    // lines
	Deleted int
	Binary  bool
}

// Parse reads a patch as "git diff" writes it. It never fails: what it does not
// know it skips.
func Parse(patch []byte) []File {
	var files []File
	var f *File
	inHunk := hunk{}
	for line := range bytes.Lines(patch) {
		text := strings.TrimRight(string(line), "\n")
		switch {
		case inHunk.open():
			inHunk.take(text, f)
		case strings.HasPrefix(text, "diff --git "):
			files = append(files, File{Name: gitName(strings.TrimPrefix(text, "diff --git "))})
			f = &files[len(files)-1]
		case f == nil:
		case strings.HasPrefix(text, "@@ "):
			inHunk = parseHunk(text)
		default:
			f.header(text)
		}
	}
	return files
}

// header reads a line between "diff --git" and the first hunk.
func (f *File) header(line string) {
	word := func(prefix, kind string) bool {
		if strings.HasPrefix(line, prefix) {
			f.Kind = kind
			return true
		}
		return false
	}
	switch {
	case word("new file mode", "new"), word("deleted file mode", "deleted"):
	case word("rename to ", "renamed"):
		f.Name = unquote(strings.TrimPrefix(line, "rename to "))
	case word("copy to ", "copied"):
		f.Name = unquote(strings.TrimPrefix(line, "copy to "))
	case strings.HasPrefix(line, "+++ ") && !strings.HasPrefix(line, "+++ /dev/null"):
		f.Name = stripSide(strings.TrimPrefix(line, "+++ "))
	case strings.HasPrefix(line, "--- ") && f.Kind == "deleted":
		f.Name = stripSide(strings.TrimPrefix(line, "--- "))
	case line == "GIT binary patch", strings.HasPrefix(line, "Binary files "):
		f.Binary = true
	}
}

// hunk counts down the lines that its heading announced, so that a removed line
// "-- a" is not taken for a heading.
type hunk struct{ old, new int }

func (h hunk) open() bool { return h.old > 0 || h.new > 0 }

func (h *hunk) take(line string, f *File) {
	switch {
	case strings.HasPrefix(line, "+"):
		f.Added++
		h.new--
	case strings.HasPrefix(line, "-"):
		f.Deleted++
		h.old--
	case strings.HasPrefix(line, `\`): // No newline at end of file
	default:
		h.old--
		h.new--
	}
}

// parseHunk reads "@@ -1,2 +3,4 @@": a count that is left out is 1.
func parseHunk(line string) hunk {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return hunk{}
	}
	count := func(s string) int {
		_, n, given := strings.Cut(s, ",")
		if !given {
			return 1
		}
		v, _ := strconv.Atoi(n)
		return v
	}
	return hunk{count(fields[1]), count(fields[2])}
}

// gitName takes the second name of "a/x b/x". Both are equal where no other
// line names the file, so the middle is found by length.
func gitName(pair string) string {
	if strings.HasPrefix(pair, `"`) {
		if first, err := strconv.QuotedPrefix(pair); err == nil {
			return stripSide(first)
		}
	}
	half := len(pair) / 2
	return stripSide(pair[min(half+1, len(pair)):])
}

func stripSide(s string) string {
	s = unquote(strings.TrimSuffix(s, "\t")) // git ends names with spaces in a tab
	if len(s) > 2 && s[1] == '/' {
		return s[2:]
	}
	return s
}

// unquote undoes git's quoting, which Go's covers.
func unquote(s string) string {
	if u, err := strconv.Unquote(s); err == nil && strings.HasPrefix(s, `"`) {
		return u
	}
	return s
}
