package checkout

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"outpost/functions/worker/internal/git"
)

// base is the ref, in the worker's repository, of the commit work trees show.
const base = "refs/outpost/base"

// WorkTree is a checkout for an agent or for verification.
type WorkTree struct {
	Dir    string // the files, with a .git that is theirs
	Index  string // the worker's own index of the files
	Commit string // that HEAD is at
	// Untouched is the tree that git sees in the files before anybody has touched
	// them. It differs from the commit's where that stores line ends which its own
	// attributes would not.
	Untouched string
	made      os.FileInfo
}

// WorkTree writes a work tree into dir, which must not exist: HEAD is at commit
// on a branch, the files are those of content, a tree or commit (the commit's
// own, or it with a patch). The index goes to dir + ".index".
func (r *Repository) WorkTree(ctx context.Context, commit, content, dir string) (*WorkTree, error) {
	w := &WorkTree{Dir: dir, Index: dir + ".index", Commit: commit}
	theirs := filepath.Join(dir, ".git")
	steps := []git.Call{
		{Args: []string{"init", "-q", "--template=", "--object-format=" + r.format, "-b", r.branch, dir}},
		{Repo: r.dir, Args: []string{"update-ref", base, commit}},
		// Through a pack, so that the two repositories share no file.
		{Repo: theirs, Remote: &git.Remote{Schemes: []string{"file"}},
			Args: []string{"fetch", "-q", "--no-write-fetch-head", "--update-head-ok", "--no-recurse-submodules", "file://" + r.dir, "+" + base + ":refs/heads/" + r.branch}},
		{Repo: r.dir, Index: w.Index, Tree: dir, Args: []string{"read-tree", "--reset", "-u", content}},
		{Repo: theirs, Tree: dir, Args: []string{"reset", "-q"}},
		{Repo: theirs, Args: []string{"config", "remote.origin.url", r.url}},
		{Repo: theirs, Args: []string{"config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"}},
		// Agents that commit need a name. Their work tree counts, not their commits.
		{Repo: theirs, Args: []string{"config", "user.name", "Outpost agent"}},
		{Repo: theirs, Args: []string{"config", "user.email", "agent@outpost.invalid"}},
	}
	for _, step := range steps {
		if _, err := r.git.Run(ctx, step); err != nil {
			return nil, fmt.Errorf("make a work tree: %w", err)
		}
	}
	made, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("make a work tree: %w", err)
	}
	w.made = made
	w.Untouched, err = r.Snapshot(ctx, w)
	return w, err
}

// Snapshot stores the files as a tree of the repository and returns that.
func (r *Repository) Snapshot(ctx context.Context, w *WorkTree) (string, error) {
	if _, err := r.Run(ctx, git.Call{Index: w.Index, Tree: w.Dir, Args: []string{"add", "--all", "."}}); err != nil {
		return "", err
	}
	return r.Run(ctx, git.Call{Index: w.Index, Args: []string{"write-tree"}})
}

// Same tells whether Dir is still the folder that was made: an agent could
// have put a link to some other place there.
func (w *WorkTree) Same() bool {
	now, err := os.Lstat(w.Dir)
	return err == nil && now.IsDir() && os.SameFile(now, w.made)
}
