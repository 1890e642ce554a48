// Package output holds what a run leaves behind until it is uploaded: files
// that are scrubbed before a byte of them is written, and cut at a limit with a
// mark, so that a flood fills neither memory nor disk.
package output

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"sync"

	"outpost/shared/redact"
	"outpost/shared/task"
)

// Set is the files of one attempt. It is safe for concurrent use.
type Set struct {
	dir      string
	scrubber *redact.Scrubber

	mu    sync.Mutex
	files []*File
}

// NewSet returns an empty set that keeps its files in dir, which must exist.
func NewSet(dir string, s *redact.Scrubber) *Set { return &Set{dir: dir, scrubber: s} }

// File is one artifact in the making. It is safe for concurrent use.
type File struct {
	name string
	mark func(dropped int64) string

	mu      sync.Mutex
	file    *os.File
	scrub   *redact.Writer
	hash    hash.Hash
	size    int64
	limit   int64
	dropped int64
	closed  bool
	err     error
}

// Create adds an artifact of at most about limit bytes. What goes beyond it is
// dropped, and mark, which tells how many bytes that were, ends the file.
func (s *Set) Create(name string, limit int64, mark func(dropped int64) string) (*File, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	file := &File{name: name, mark: mark, file: f, hash: sha256.New(), limit: limit}
	file.scrub = s.scrubber.Writer((*kept)(file))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append(s.files, file)
	return file, nil
}

// Cut is the mark of plain text files.
func Cut(dropped int64) string {
	return fmt.Sprintf("\n[outpost: the rest is cut, %d bytes]\n", dropped)
}

// CutJSON is the mark of files of JSON lines.
func CutJSON(dropped int64) string {
	return fmt.Sprintf("\n{\"outpost\":\"cut\",\"dropped_bytes\":%d}\n", dropped)
}

// Write implements io.Writer. A full disk is an error only of Close, so that
// it stops no agent.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, fmt.Errorf("write %s: %w", f.name, os.ErrClosed)
	}
	if _, err := f.scrub.Write(p); err != nil && f.err == nil {
		f.err = err
	}
	return len(p), nil
}

// Close ends the file. More calls do nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.err
	}
	f.closed = true
	if err := f.scrub.Close(); err != nil && f.err == nil {
		f.err = err
	}
	if f.dropped > 0 && f.err == nil {
		f.limit += 1 << 10
		if _, err := (*kept)(f).Write([]byte(f.mark(f.dropped))); err != nil {
			f.err = err
		}
	}
	if err := f.file.Close(); err != nil && f.err == nil {
		f.err = err
	}
	if f.err != nil {
		f.err = fmt.Errorf("write %s: %w", f.name, f.err)
	}
	return f.err
}

// Path is where the file lies.
func (f *File) Path() string { return f.file.Name() }

// Dropped is how many bytes went beyond the limit.
func (f *File) Dropped() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped
}

// Redacted is how many secrets were taken out.
func (f *File) Redacted() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.scrub.Found()
}

// kept is the part of a file below its limit.
type kept File

func (k *kept) Write(p []byte) (int, error) {
	n := int(min(int64(len(p)), k.limit-k.size))
	k.dropped += int64(len(p) - n)
	if n == 0 {
		return len(p), nil
	}
	if _, err := k.file.Write(p[:n]); err != nil {
		return 0, err
	}
	k.hash.Write(p[:n])
	k.size += int64(n)
	return len(p), nil
}

// Drop takes an artifact out of the set.
func (s *Set) Drop(f *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.files {
		if s.files[i] == f {
			s.files = append(s.files[:i], s.files[i+1:]...)
			_ = f.Close()
			_ = os.Remove(f.Path())
			return
		}
	}
}

// Finished closes all files and returns those that hold something, with their
// paths by name. Files that could not be written whole are left out and told
// as errors.
func (s *Set) Finished() (artifacts []task.Artifact, paths map[string]string, errs []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths = map[string]string{}
	for _, f := range s.files {
		if err := f.Close(); err != nil {
			errs = append(errs, err)
			continue
		}
		if f.size == 0 {
			continue
		}
		artifacts = append(artifacts, task.Artifact{Name: f.name, Size: f.size, SHA256: hex.EncodeToString(f.hash.Sum(nil))})
		paths[f.name] = f.Path()
	}
	return artifacts, paths, errs
}
