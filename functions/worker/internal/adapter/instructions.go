package adapter

import (
	"io"
	"os"
	"strings"
)

// maxInstructions bounds what is taken of a repository's CLAUDE.md, in bytes.
const maxInstructions = 32 << 10

// Instructions returns the prompt with what the repository tells this agent in
// front of it: CLAUDE.md of its root, for claude, which does not read the file
// itself as it is driven here. Other agents read their own files. A file that
// is missing, not regular, or outside the repository counts as none.
func Instructions(agentName, root, prompt string) string {
	if agentName != "claude" {
		return prompt
	}
	text, cut := readWithin(root, "CLAUDE.md", maxInstructions)
	if text == "" {
		return prompt
	}
	end := "\n(end of CLAUDE.md)\n\n"
	if cut {
		end = "\n(CLAUDE.md goes on; the rest was cut)\n\n"
	}
	return "The repository's CLAUDE.md says:\n\n" + text + end + prompt
}

// readWithin reads at most limit bytes of a regular file of a folder; a link
// that leads out of the folder is not followed. A named pipe does not block.
func readWithin(dir, name string, limit int) (text string, cut bool) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", false
	}
	defer root.Close()
	if info, err := root.Stat(name); err != nil || !info.Mode().IsRegular() {
		return "", false
	}
	f, err := root.Open(name)
	if err != nil {
		return "", false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return "", false
	}
	if cut = len(b) > limit; cut {
		b = b[:limit]
	}
	return strings.ToValidUTF8(strings.ReplaceAll(string(b), "\x00", ""), ""), cut
}
