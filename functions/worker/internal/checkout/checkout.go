// Package checkout brings a repository to the agent through a clean room. The
// worker fetches into a repository that it owns, writes a plain work tree from
// it, and gives the tree a second, ordinary .git of its own, since agents like
// to use git. After the agent has run, nothing of that .git is read again: the
// worker goes on in a fresh repository that shares only the objects.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"outpost/functions/worker/internal/git"
	"outpost/functions/worker/internal/outcome"
	"outpost/shared/clock"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// Fetcher fetches repositories.
type Fetcher struct {
	Git     *git.Git
	Clock   clock.Clock
	Askpass string // program that answers git's questions; see Answer
	// Resolver finds the addresses of hosts; nil is the system's.
	Resolver *net.Resolver
}

// Repository is the worker's own copy of a repository.
type Repository struct {
	git    *git.Git
	dir    string // GIT_DIR, bare
	url    string
	branch string // name of the branch that work trees are on
	format string // sha1 or sha256
	// more fetches a commit that is not there yet; nil once that is over.
	more func(ctx context.Context, commit string) error
}

// Fetch fetches what the source names into dir, which must not exist, and
// returns the commit of its ref. Failures are *outcome.Failure with
// repository_unavailable, repository_empty or ref_not_found.
func (f *Fetcher) Fetch(ctx context.Context, src runner.Checkout, dir string) (*Repository, string, error) {
	if err := checkURL(src.Repo, src.Schemes); err != nil {
		return nil, "", err
	}
	if err := checkRef(src.Ref); err != nil {
		return nil, "", err
	}
	w, err := f.open(src)
	if err != nil {
		return nil, "", err
	}
	defer w.close()

	listed, err := f.list(ctx, src, w)
	if err != nil {
		return nil, "", err
	}
	want, err := listed.choose(src.Ref)
	if err != nil {
		return nil, "", err
	}
	r := &Repository{git: f.Git, dir: dir, url: src.Repo, branch: want.branch, format: listed.format()}
	if err := r.init(ctx); err != nil {
		return nil, "", err
	}
	if err := f.fetch(ctx, r, w, want.refspecs...); err != nil {
		return nil, "", err
	}
	commit, err := r.resolve(ctx, want.rev)
	if err != nil && want.hash {
		// Not on any branch: some servers hand out single commits all the same.
		if f.fetch(ctx, r, w, want.rev) == nil {
			commit, err = r.resolve(ctx, want.rev)
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		return nil, "", outcome.Fail(task.ReasonRefNotFound, fmt.Sprintf("%q is no branch, tag or commit of the repository", src.Ref))
	}
	r.more = func(ctx context.Context, commit string) error {
		w, err := f.open(src)
		if err != nil {
			return err
		}
		defer w.close()
		if f.fetch(ctx, r, w, commit) == nil {
			return nil
		}
		return f.fetch(ctx, r, w, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	}
	return r, commit, nil
}

// Have makes sure that a commit is there, fetching it when it is not.
func (r *Repository) Have(ctx context.Context, commit string) error {
	if _, err := r.resolve(ctx, commit); err == nil {
		return nil
	}
	if r.more != nil {
		if err := r.more(ctx, commit); err != nil {
			return err
		}
	}
	if _, err := r.resolve(ctx, commit); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return outcome.Fail(task.ReasonRefNotFound, "the pinned commit "+commit+" is not in the repository any more")
	}
	return nil
}

// init makes the empty repository.
func (r *Repository) init(ctx context.Context) error {
	_, err := r.git.Run(ctx, git.Call{Args: []string{"init", "-q", "--bare", "--template=", "--object-format=" + r.format, "-b", "main", r.dir}})
	return err
}

// resolve returns the commit that a revision names.
func (r *Repository) resolve(ctx context.Context, rev string) (string, error) {
	return r.git.Run(ctx, git.Call{Repo: r.dir, Args: []string{"rev-parse", "--verify", "--quiet", "--end-of-options", rev + "^{commit}"}})
}

// Renew returns a repository in dir, which must not exist, that has the
// objects of r and nothing else of it: what an agent may have written into r's
// configuration or hooks stays behind. The objects are trusted by their hashes.
func (r *Repository) Renew(ctx context.Context, dir string) (*Repository, error) {
	fresh := &Repository{git: r.git, dir: dir, url: r.url, branch: r.branch, format: r.format}
	if err := fresh.init(ctx); err != nil {
		return nil, err
	}
	objects := filepath.Join(r.dir, "objects") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "objects", "info", "alternates"), []byte(objects), 0o600); err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("share objects: %w", err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "objects", "info"), 0o700); err != nil {
			return nil, fmt.Errorf("share objects: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "objects", "info", "alternates"), []byte(objects), 0o600); err != nil {
			return nil, fmt.Errorf("share objects: %w", err)
		}
	}
	return fresh, nil
}

// Run runs git in the repository.
func (r *Repository) Run(ctx context.Context, c git.Call) (string, error) {
	c.Repo = r.dir
	return r.git.Run(ctx, c)
}

// shortName is a ref without its folder.
func shortName(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
}
