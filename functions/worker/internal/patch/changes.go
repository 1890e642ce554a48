package patch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"outpost/functions/worker/internal/git"
	"outpost/shared/task"
)

// changes are the files that differ.
type changes struct {
	stat     task.PatchStat
	blobs    map[string][2]string // new path → the file's object before and after
	binaries []string             // objects of binary files, before and after
}

// maxField bounds a path that git tells, in bytes.
const maxField = 64 << 10

// changes compares two trees.
func (m *Maker) changes(ctx context.Context, commit, tree string) (*changes, error) {
	c := &changes{blobs: map[string][2]string{}}
	p := &entries{changes: c}
	_, err := m.Repo.Run(ctx, git.Call{Stdout: &fields{each: p.add},
		Args: []string{"diff-tree", "-r", "-z", "-M", "--raw", "--numstat", "--full-index", "--no-abbrev", commit, tree}})
	return c, err
}

// entries reads the output of diff-tree -z --raw --numstat: all raw entries,
// then a line of numbers a file. A renamed file has two paths.
type entries struct {
	changes *changes
	paths   int       // still to come for the entry
	objects [2]string // of a raw entry
	numbers []string  // of a numstat entry
}

func (e *entries) add(field string) error {
	switch {
	case e.paths > 0:
		if e.paths--; e.paths == 0 {
			e.done(field)
		}
	case strings.HasPrefix(field, ":"):
		// :mode mode object object status
		parts := strings.Fields(field)
		if len(parts) != 5 {
			return fmt.Errorf("git told an unknown change %q", field)
		}
		e.objects, e.numbers, e.paths = [2]string{parts[2], parts[3]}, nil, 1
		if strings.ContainsAny(parts[4][:1], "RC") {
			e.paths = 2
		}
	default:
		// added TAB deleted TAB path, without the path for a renamed file
		parts := strings.SplitN(field, "\t", 3)
		if len(parts) != 3 {
			return fmt.Errorf("git told unknown numbers %q", field)
		}
		e.numbers = parts[:2]
		if parts[2] == "" {
			e.paths = 2
			return nil
		}
		e.done(parts[2])
	}
	return nil
}

func (e *entries) done(path string) {
	c := e.changes
	if e.numbers == nil {
		c.blobs[path] = e.objects
		return
	}
	c.stat.Files++
	if e.numbers[0] == "-" {
		for _, object := range c.blobs[path] {
			if strings.Trim(object, "0") != "" {
				c.binaries = append(c.binaries, object)
			}
		}
		return
	}
	added, _ := strconv.Atoi(e.numbers[0])
	deleted, _ := strconv.Atoi(e.numbers[1])
	c.stat.Additions += added
	c.stat.Deletions += deleted
}

// checkBinaries refuses binary files that hold a secret: in a patch they are
// compressed, so that nothing could be taken out of them.
func (m *Maker) checkBinaries(ctx context.Context, c *changes) error {
	if len(c.binaries) == 0 {
		return nil
	}
	scan := m.Scrubber.Writer(io.Discard)
	_, err := m.Repo.Run(ctx, git.Call{Stdin: strings.NewReader(strings.Join(c.binaries, "\n") + "\n"), Stdout: scan,
		Args: []string{"cat-file", "--batch", "--buffer"}})
	if err != nil {
		return err
	}
	if err := scan.Close(); err != nil {
		return err
	}
	if scan.Found() > 0 {
		return invalid("a binary file holds a secret, which cannot be taken out of it")
	}
	return nil
}

// fields hands over NUL-terminated fields.
type fields struct {
	rest []byte
	each func(string) error
}

func (f *fields) Write(p []byte) (int, error) {
	f.rest = append(f.rest, p...)
	for {
		i := bytes.IndexByte(f.rest, 0)
		if i < 0 {
			if len(f.rest) > maxField {
				return 0, errors.New("git told a path of over 64 KiB")
			}
			return len(p), nil
		}
		if err := f.each(string(f.rest[:i])); err != nil {
			return 0, err
		}
		f.rest = f.rest[i+1:]
	}
}
