// Package redact takes secrets out of bytes that leave. It knows the exact
// values and looks for each as it is and as hex, URL-escaped, JSON-escaped and
// in base64 at its three alignments, in one pass over a stream: an automaton
// (Aho-Corasick) remembers across chunk borders how much of a secret has been
// seen, and holds back exactly those bytes until it is clear what they are.
// Overlapping finds are taken out as one. What is replaced reads
// [redacted:NAME].
//
// It cannot see a secret that was compressed, encrypted or encoded twice.
package redact

import (
	"maps"
	"slices"
	"strings"
)

// MinLength is the shortest value that counts as a secret, in bytes: taking
// out shorter ones would garble ordinary text and protect nothing.
const MinLength = 6

// Secrets are the values that must not leave, by the name that stands for each.
type Secrets map[string]string

// Scrubber finds secrets. It is immutable and safe for concurrent use; each
// stream has its own Writer.
type Scrubber struct {
	classes [256]uint16 // byte → column; 0 for bytes of no pattern
	width   int         // columns
	next    []int32     // state*width + column → state
	depth   []int32     // of a state: how many bytes may be the start of a secret
	found   []find      // of a state: the longest pattern that ends there
	labels  []string
}

type find struct {
	length int32 // bytes; 0 for none
	label  int32 // index of labels
}

type pattern struct {
	text  string
	label int32
}

// New returns a Scrubber of the secrets. Those shorter than MinLength are left
// out; none at all is legal and changes nothing.
func New(secrets Secrets) *Scrubber {
	s := &Scrubber{}
	var patterns []pattern
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if len(secrets[name]) < MinLength {
			continue
		}
		s.labels = append(s.labels, "[redacted:"+name+"]")
		for _, form := range forms(secrets[name]) {
			if !seen[form] {
				seen[form] = true
				patterns = append(patterns, pattern{form, int32(len(s.labels) - 1)})
			}
		}
	}
	s.build(patterns)
	return s
}

// build makes the automaton: a trie of the patterns, then, breadth first, the
// transitions of every state on every byte.
func (s *Scrubber) build(patterns []pattern) {
	s.width = 1
	for _, p := range patterns {
		for i := range len(p.text) {
			if b := p.text[i]; s.classes[b] == 0 {
				s.classes[b] = uint16(s.width)
				s.width++
			}
		}
	}
	s.state(0)
	for _, p := range patterns {
		at := int32(0)
		for i := range len(p.text) {
			edge := int(at)*s.width + int(s.classes[p.text[i]])
			if s.next[edge] == 0 {
				s.next[edge] = s.state(s.depth[at] + 1)
			}
			at = s.next[edge]
		}
		s.found[at] = find{length: int32(len(p.text)), label: p.label}
	}
	s.link()
}

// state adds a state of a depth and returns its number.
func (s *Scrubber) state(depth int32) int32 {
	s.next = append(s.next, make([]int32, s.width)...)
	s.depth = append(s.depth, depth)
	s.found = append(s.found, find{})
	return int32(len(s.depth) - 1)
}

// link fills the missing transitions with those of the longest proper suffix.
func (s *Scrubber) link() {
	suffix := make([]int32, len(s.depth))
	var queue []int32
	for column := 1; column < s.width; column++ {
		if child := s.next[column]; child != 0 {
			queue = append(queue, child)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		back := suffix[at]
		if s.found[at].length == 0 {
			s.found[at] = s.found[back]
		}
		for column := 1; column < s.width; column++ {
			edge := int(at)*s.width + column
			fallback := s.next[int(back)*s.width+column]
			if child := s.next[edge]; child != 0 {
				suffix[child] = fallback
				queue = append(queue, child)
			} else {
				s.next[edge] = fallback
			}
		}
	}
}

// String returns the text without secrets.
func (s *Scrubber) String(text string) string {
	var out strings.Builder
	w := s.Writer(&out)
	// A strings.Builder never fails.
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.String()
}
