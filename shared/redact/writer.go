package redact

import "io"

// Writer passes on what is written to it, without the secrets. It holds back
// only bytes that may yet turn out to be part of one; Close lets them go.
type Writer struct {
	scrubber *Scrubber
	out      io.Writer
	state    int32
	pending  []byte // not passed on yet
	base     int64  // place of pending[0] in the stream
	spans    []span // of secrets in pending, in order, apart from one another
	ready    []byte // scratch of flush
	finds    int64
	err      error
}

// span is a part of the stream that holds a secret.
type span struct {
	start, end int64
	label      int32
	told       bool // its label has been written
}

// Writer returns a Writer that passes on to out.
func (s *Scrubber) Writer(out io.Writer) *Writer { return &Writer{scrubber: s, out: out} }

// Found returns how many secrets were taken out so far, overlapping ones
// counted once.
func (w *Writer) Found() int64 { return w.finds }

// Write implements io.Writer. After an error of the underlying writer every
// further Write returns that error.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	s, at := w.scrubber, w.base+int64(len(w.pending))
	w.pending = append(w.pending, p...)
	for _, b := range p {
		w.state = s.next[int(w.state)*s.width+int(s.classes[b])]
		at++
		if w.state != 0 {
			if f := s.found[w.state]; f.length > 0 {
				w.cover(span{start: at - int64(f.length), end: at, label: f.label})
			}
		}
	}
	// A secret that is still to be completed starts at most depth bytes back.
	w.flush(at - int64(s.depth[w.state]))
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Close passes on what was held back. It does not close the underlying writer.
func (w *Writer) Close() error {
	if w.err == nil {
		w.flush(w.base + int64(len(w.pending)))
	}
	w.state = 0
	return w.err
}

// cover adds a find, merged with those that it overlaps. The merged one bears
// the label of the earliest, unless the find contains all of that.
func (w *Writer) cover(found span) {
	for n := len(w.spans); n > 0 && w.spans[n-1].end > found.start; n-- {
		last := w.spans[n-1]
		if last.told || last.start < found.start {
			found.label = last.label
		}
		found.start, found.told = min(found.start, last.start), last.told
		w.spans = w.spans[:n-1]
	}
	w.spans = append(w.spans, found)
}

// flush passes on everything before limit.
func (w *Writer) flush(limit int64) {
	w.ready = w.ready[:0]
	at := w.base
	for len(w.spans) > 0 && w.spans[0].start < limit {
		s := &w.spans[0]
		if s.start > at {
			w.ready = append(w.ready, w.pending[at-w.base:s.start-w.base]...)
		}
		if !s.told {
			w.ready = append(w.ready, w.scrubber.labels[s.label]...)
			s.told = true
			w.finds++
		}
		at = min(s.end, limit)
		if s.end > limit {
			break // the rest may yet grow
		}
		w.spans = w.spans[1:]
	}
	if limit > at {
		w.ready = append(w.ready, w.pending[at-w.base:limit-w.base]...)
	}
	w.pending = append(w.pending[:0], w.pending[limit-w.base:]...)
	w.base = limit
	if len(w.ready) > 0 {
		if _, err := w.out.Write(w.ready); err != nil {
			w.err = err
		}
	}
}
