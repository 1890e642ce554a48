// Package patch turns what an agent left in its work tree into a patch that
// `git apply` accepts on the pinned commit: new files included, .gitignore
// respected, binary files and modes kept. It runs when every process of the
// agent is gone and executes nothing that the agent left: nested repositories
// lose their .git, and git works in the worker's own repository.
package patch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"outpost/functions/worker/internal/checkout"
	"outpost/functions/worker/internal/git"
	"outpost/functions/worker/internal/outcome"
	"outpost/shared/redact"
	"outpost/shared/task"
)

// MaxContent is how many bytes of new and changed files are looked at; more is
// patch_too_large before git reads it all.
const MaxContent = 1 << 30

// Patch is an agent's result.
type Patch struct {
	Stat   task.PatchStat
	Commit string // that it applies to
	Tree   string // what applying the patch to the commit gives; an object of the repository
}

// Sink is where the patch is written: scrubbed on the way, and told about it.
type Sink interface {
	io.Writer
	Close() error
	Path() string
	Redacted() int64
}

// Maker makes patches. The repository must be a renewed one.
type Maker struct {
	Repo     *checkout.Repository
	Scrubber *redact.Scrubber
}

// Make writes the patch from the tree's commit to its files into the sink and
// closes that. It returns nil when nothing changed. Failures are
// *outcome.Failure with patch_too_large or patch_invalid.
func (m *Maker) Make(ctx context.Context, w *checkout.WorkTree, sink Sink) (*Patch, error) {
	if !w.Same() {
		return nil, invalid("the agent replaced the folder of its work tree")
	}
	if err := strip(w.Dir); err != nil {
		return nil, invalid("the work tree cannot be read: " + err.Error())
	}
	if err := m.weigh(ctx, w); err != nil {
		return nil, err
	}
	tree, err := m.snapshot(ctx, w)
	if err != nil {
		return nil, err
	}
	changes, err := m.changes(ctx, w.Commit, tree)
	if err != nil || len(changes.blobs) == 0 {
		return nil, err
	}
	if err := m.checkBinaries(ctx, changes); err != nil {
		return nil, err
	}
	size, err := m.write(ctx, w.Commit, tree, sink)
	if err != nil {
		return nil, err
	}
	applied, err := m.apply(ctx, w, sink.Path())
	switch {
	case err != nil && sink.Redacted() > 0:
		return nil, invalid("it cannot be told without a secret that stands in the repository")
	case err != nil:
		return nil, err
	case applied != tree && sink.Redacted() == 0:
		return nil, invalid("applying it does not give the agent's files")
	}
	changes.stat.Bytes = size
	return &Patch{Stat: changes.stat, Commit: w.Commit, Tree: applied}, nil
}

func invalid(detail string) error { return outcome.Fail(task.ReasonPatchInvalid, detail) }

// strip removes what no patch can hold: every .git, and whatever is neither a
// file, a folder nor a link. Folders become readable. Links are not followed.
func strip(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.Name() == ".git":
			if err := root.RemoveAll(path); err != nil {
				return err
			}
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.IsDir():
			info, err := d.Info()
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o700 != 0o700 {
				return root.Chmod(path, info.Mode().Perm()|0o700)
			}
		case d.Type()&^fs.ModeSymlink != 0: // not regular, and more than a link
			return root.Remove(path)
		}
		return nil
	})
}

// weigh refuses more new and changed bytes than MaxContent.
func (m *Maker) weigh(ctx context.Context, w *checkout.WorkTree) error {
	var total int64
	each := func(name string) error {
		info, err := os.Lstat(filepath.Join(w.Dir, name))
		if err != nil || !info.Mode().IsRegular() {
			return nil // deleted, or of no weight
		}
		if total += info.Size(); total > MaxContent {
			return outcome.Fail(task.ReasonPatchTooLarge, "over 1 GiB of new and changed files")
		}
		return nil
	}
	_, err := m.Repo.Run(ctx, git.Call{Index: w.Index, Tree: w.Dir, Stdout: &fields{each: each},
		Args: []string{"ls-files", "-z", "--modified", "--others", "--exclude-standard"}})
	return readable(err)
}

// snapshot stores the files as a tree and returns that.
func (m *Maker) snapshot(ctx context.Context, w *checkout.WorkTree) (string, error) {
	tree, err := m.Repo.Snapshot(ctx, w)
	if err != nil {
		return "", readable(err)
	}
	original, err := m.Repo.Run(ctx, git.Call{Args: []string{"rev-parse", w.Commit + "^{tree}"}})
	if err != nil || original == w.Untouched {
		return tree, err
	}
	return m.transplant(ctx, w, tree)
}

// transplant puts what the agent changed, and nothing else, onto the commit:
// git sees other contents in some files that nobody touched.
func (m *Maker) transplant(ctx context.Context, w *checkout.WorkTree, tree string) (string, error) {
	var entries strings.Builder
	var change []string
	each := func(field string) error {
		if change == nil { // else a path, which may look like anything
			if change = strings.Fields(field); len(change) != 5 { // :mode mode object object status
				return fmt.Errorf("git told an unknown change %q", field)
			}
			return nil
		}
		fmt.Fprintf(&entries, "%s %s\t%s\x00", change[1], change[3], field)
		change = nil
		return nil
	}
	if _, err := m.Repo.Run(ctx, git.Call{Stdout: &fields{each: each},
		Args: []string{"diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", w.Untouched, tree}}); err != nil {
		return "", err
	}
	index := w.Index + ".transplanted"
	defer os.Remove(index)
	if _, err := m.Repo.Run(ctx, git.Call{Index: index, Args: []string{"read-tree", w.Commit}}); err != nil {
		return "", err
	}
	if _, err := m.Repo.Run(ctx, git.Call{Index: index, Args: []string{"update-index", "-z", "--index-info"},
		Stdin: strings.NewReader(entries.String())}); err != nil {
		return "", err
	}
	return m.Repo.Run(ctx, git.Call{Index: index, Args: []string{"write-tree"}})
}

// readable calls git's complaints about the agent's files by their reason.
func readable(err error) error {
	var failed *git.Error
	if errors.As(err, &failed) {
		return invalid(failed.Line())
	}
	return err
}

// write writes the patch and returns its size before scrubbing, in bytes.
func (m *Maker) write(ctx context.Context, commit, tree string, sink Sink) (int64, error) {
	limit := &limited{w: bufio.NewWriterSize(sink, 64<<10), left: task.MaxPatch}
	_, err := m.Repo.Run(ctx, git.Call{Stdout: limit, Args: []string{"diff-tree", "-r", "-p", "-M", "--binary", "--full-index",
		"--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", commit, tree}})
	if errors.Is(err, errTooLarge) {
		return 0, outcome.Fail(task.ReasonPatchTooLarge, "")
	}
	if err != nil {
		return 0, err
	}
	if err := limit.w.Flush(); err != nil {
		return 0, err
	}
	return task.MaxPatch - limit.left, sink.Close()
}

// apply applies the patch to the commit, away from any files, and returns the
// tree that this gives.
func (m *Maker) apply(ctx context.Context, w *checkout.WorkTree, path string) (string, error) {
	index := w.Index + ".applied"
	defer os.Remove(index)
	if _, err := m.Repo.Run(ctx, git.Call{Index: index, Args: []string{"read-tree", w.Commit}}); err != nil {
		return "", err
	}
	if _, err := m.Repo.Run(ctx, git.Call{Index: index, Args: []string{"apply", "--cached", "--whitespace=nowarn", path}}); err != nil {
		return "", readable(err)
	}
	return m.Repo.Run(ctx, git.Call{Index: index, Args: []string{"write-tree"}})
}

var errTooLarge = errors.New("the patch is too large")

// limited fails once more than left bytes come.
type limited struct {
	w    *bufio.Writer
	left int64
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, errTooLarge
	}
	l.left -= int64(len(p))
	n, err := l.w.Write(p)
	if err != nil {
		return n, fmt.Errorf("write the patch: %w", err)
	}
	return n, nil
}
