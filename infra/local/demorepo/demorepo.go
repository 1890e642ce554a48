// Package demorepo makes the demonstration's repository: a small Node project
// with one bug and a test that fails because of it. It also holds what the
// scripted provider lets each agent answer, each a bit differently, and an
// answer that is wrong.
package demorepo

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed repo fixes
var files embed.FS

// What the demonstration asks for, and the command that tells whether it was done.
const (
	Prompt = "The last page of a list is lost when it is shorter than the others. " +
		"Find the bug in src/pages.js and fix it, so that the tests pass."
	Verify = "node --test"
	// Subject is the file with the bug. A prompt that names it asks for the fix.
	Subject = "src/pages.js"
	// Wrong names the answer that changes the file and leaves a test failing.
	Wrong = "wrong"
)

// File is a file of the repository after an answer.
type File struct {
	Path   string // slash-separated, from the repository's root
	Before string // empty for a new file
	After  string
}

// Fix returns an agent's answer, or the one that is Wrong. An unknown agent
// gets the shortest right one.
func Fix(answer string) []File {
	root := "fixes/" + answer
	if _, err := fs.Stat(files, root); err != nil {
		root = "fixes/claude"
	}
	var changed []File
	err := fs.WalkDir(files, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		after, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		before, err := files.ReadFile("repo/" + name)
		if err != nil {
			before = nil // a new file
		}
		changed = append(changed, File{Path: name, Before: string(before), After: string(after)})
		return nil
	})
	if err != nil {
		panic(err) // the files are embedded
	}
	return changed
}

// Make makes the repository in dir, which may not exist yet: one commit on the
// branch main, the same commit each time. It needs git.
func Make(ctx context.Context, dir string) error {
	tree, err := fs.Sub(files, "repo")
	if err != nil {
		return fmt.Errorf("make the demo repository: %w", err)
	}
	if err := os.CopyFS(dir, tree); err != nil {
		return fmt.Errorf("make the demo repository: %w", err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "--all"},
		{"commit", "--quiet", "--message=Cut lists into pages"},
	} {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = dir
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, ".git"),
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
			"GIT_AUTHOR_NAME=Demo", "GIT_AUTHOR_EMAIL=demo@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
			"GIT_COMMITTER_NAME=Demo", "GIT_COMMITTER_EMAIL=demo@example.com", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z",
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("make the demo repository: git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
