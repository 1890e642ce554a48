package checkout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"outpost/functions/worker/internal/git"
	"outpost/functions/worker/internal/outcome"
	"outpost/shared/runner"
	"outpost/shared/task"
)

// Remote commands are tried this often when the network fails them.
const tries = 3

// maxRef is the longest ref, in bytes; servers allow no more.
const maxRef = 255

func checkURL(repo string, schemes []string) error {
	u, err := url.Parse(repo)
	switch {
	case err != nil || u.Scheme == "" || strings.HasPrefix(repo, "-"):
		return outcome.Fail(task.ReasonRepositoryUnavailable, "the repository is not a URL")
	case !slices.Contains(reachable(schemes), u.Scheme):
		return outcome.Fail(task.ReasonRepositoryUnavailable, fmt.Sprintf("the scheme %q is not allowed", u.Scheme))
	case u.User != nil:
		return outcome.Fail(task.ReasonRepositoryUnavailable, "the URL must not hold credentials")
	case u.Scheme != "file" && u.Host == "":
		return outcome.Fail(task.ReasonRepositoryUnavailable, "the URL names no host")
	}
	return nil
}

func checkRef(ref string) error {
	bad := strings.HasPrefix(ref, "-") || len(ref) > maxRef || strings.Contains(ref, "..") || strings.Contains(ref, "@{") ||
		strings.ContainsFunc(ref, func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune(" ~^:?*[\\", r) })
	if bad {
		return outcome.Fail(task.ReasonRefNotFound, fmt.Sprintf("%q cannot be the name of a branch, tag or commit", ref))
	}
	return nil
}

// refs are what a remote lists.
type refs struct {
	hashes map[string]string // ref → object
	head   string            // ref that HEAD points to; empty when it is detached or not there
}

// list asks the remote what it has.
func (f *Fetcher) list(ctx context.Context, src runner.Checkout, w *way) (refs, error) {
	r := refs{hashes: map[string]string{}}
	err := w.persist(ctx, func() error {
		out := &lines{each: r.add}
		_, err := f.Git.Run(ctx, git.Call{Args: []string{"ls-remote", "--quiet", "--symref", "--", src.Repo}, Remote: w.remote, Stdout: out})
		return err
	})
	if err != nil {
		return r, unavailable(ctx, err)
	}
	if len(r.hashes) == 0 {
		return r, outcome.Fail(task.ReasonRepositoryEmpty, "")
	}
	return r, nil
}

// add takes a line of ls-remote --symref.
func (r *refs) add(line string) {
	left, name, ok := strings.Cut(line, "\t")
	if !ok {
		return
	}
	if target, symbolic := strings.CutPrefix(left, "ref: "); symbolic {
		if name == "HEAD" {
			r.head = target
		}
		return
	}
	if name == "HEAD" || strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/") {
		r.hashes[name] = left
	}
}

// format is the remote's object format.
func (r refs) format() string {
	for _, h := range r.hashes {
		if len(h) == 64 {
			return "sha256"
		}
	}
	return "sha1"
}

// choice is what to fetch for a ref.
type choice struct {
	rev      string // names the commit once it is fetched
	refspecs []string
	branch   string // for the agent's work tree
	hash     bool   // rev is the beginning of a commit's hash
}

var hashShape = regexp.MustCompile(`^[0-9a-fA-F]{4,64}$`)

// choose finds a ref among a remote's: a branch before a tag before a commit.
func (r refs) choose(ref string) (choice, error) {
	if ref == "" || ref == "HEAD" {
		if _, ok := r.hashes["HEAD"]; !ok {
			return choice{}, outcome.Fail(task.ReasonRefNotFound, "the repository's default branch has no commit")
		}
		branch := "main"
		if r.head != "" {
			branch = shortName(r.head)
		}
		return choice{rev: "refs/outpost/head", refspecs: []string{"+HEAD:refs/outpost/head"}, branch: branch}, nil
	}
	for _, name := range []string{ref, "refs/heads/" + ref, "refs/tags/" + ref} {
		if _, ok := r.hashes[name]; ok && strings.HasPrefix(name, "refs/") {
			branch := shortName(name)
			if strings.HasPrefix(name, "refs/tags/") {
				branch = "outpost"
			}
			return choice{rev: name, refspecs: []string{"+" + name + ":" + name}, branch: branch}, nil
		}
	}
	if hashShape.MatchString(ref) {
		return choice{rev: ref, refspecs: []string{"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}, branch: "outpost", hash: true}, nil
	}
	return choice{}, outcome.Fail(task.ReasonRefNotFound, fmt.Sprintf("%q is no branch, tag or commit of the repository", ref))
}

// fetch fetches refspecs into the repository.
func (f *Fetcher) fetch(ctx context.Context, r *Repository, w *way, refspecs ...string) error {
	args := append([]string{"fetch", "--quiet", "--force", "--no-write-fetch-head", "--no-recurse-submodules", "--", r.url}, refspecs...)
	err := w.persist(ctx, func() error {
		_, err := f.Git.Run(ctx, git.Call{Repo: r.dir, Args: args, Remote: w.remote})
		return err
	})
	if err != nil {
		return unavailable(ctx, err)
	}
	return nil
}

// passing are complaints of git that another try may not meet again. That a host
// was not reached at all is the proxy's to tell.
var passing = []string{
	"Connection reset", "Operation timed out",
	"early EOF", "RPC failed", "unexpected disconnect", "Empty reply", "Recv failure",
	"returned error: 429", "returned error: 5",
}

func transient(err error) bool {
	var failed *git.Error
	if !errors.As(err, &failed) {
		return false
	}
	return slices.ContainsFunc(passing, func(s string) bool { return strings.Contains(failed.Stderr, s) })
}

// unavailable says why a remote command failed.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var failed *git.Error
	if !errors.As(err, &failed) {
		return err
	}
	detail := failed.Line()
	if strings.Contains(failed.Stderr, "could not read Username") || strings.Contains(failed.Stderr, "could not read Password") {
		detail = "the repository does not exist, or it needs a git token for its host"
	}
	return outcome.Fail(task.ReasonRepositoryUnavailable, detail)
}

// lines hands over whole lines; the last may lack its end only if it is empty.
type lines struct {
	rest []byte
	each func(string)
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			if len(l.rest) > 64<<10 {
				return 0, errors.New("a line of over 64 KiB")
			}
			return len(p), nil
		}
		l.each(string(l.rest[:i]))
		l.rest = l.rest[i+1:]
	}
}
