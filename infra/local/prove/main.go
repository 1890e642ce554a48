// Command prove runs every proof of a promise at its full size and writes
// docs/guarantees.md from the records that they left in infra/local/prove/records,
// which are committed too; with packages as arguments it runs theirs alone and
// keeps what the others left before, and with -page it runs none. It fails when a
// proof failed, or a promise has none.
//
// A proof is a function TestGuarantee… in a test file; its comment says what it
// does, its calls of the package guarantee which promise it is about. So a
// proof that was forgotten, or never ran, shows.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"outpost/infra/local/guarantee"
)

// limit is how long the proofs of one package may take.
const limit = time.Hour

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only []string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	proofs, err := find(root)
	if err != nil {
		return err
	}
	records := filepath.Join(root, recordsPath)
	if slices.Equal(only, []string{"-page"}) {
		_, err := write(root, records, proofs)
		return err
	}
	if len(only) == 0 {
		if err := os.RemoveAll(records); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(records, 0o755); err != nil {
		return err
	}
	failed := test(ctx, root, records, packages(proofs, only))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	state, err := write(root, records, proofs)
	return errors.Join(failed, state, err)
}

// write makes the page of what the proofs have left. state is nil when all that
// is promised holds.
func write(root, records string, proofs []proof) (state, err error) {
	left, err := guarantee.Read(records)
	if err != nil {
		return nil, err
	}
	text, state := page(proofs, left)
	return state, os.WriteFile(filepath.Join(root, pagePath), []byte(text), 0o644)
}

// packages are those that have proofs, or of them those that were asked for.
func packages(proofs []proof, only []string) (dirs []string) {
	for _, p := range proofs {
		asked := len(only) == 0 || slices.ContainsFunc(only, func(o string) bool { return filepath.ToSlash(filepath.Clean(o)) == p.Package })
		if asked && !slices.Contains(dirs, "./"+p.Package) {
			dirs = append(dirs, "./"+p.Package)
		}
	}
	return dirs
}

// test runs the proofs of packages, one package after the other: each has the
// machine for itself.
func test(ctx context.Context, root, records string, dirs []string) error {
	if len(dirs) == 0 {
		return errors.New("no proof is in the packages asked for")
	}
	args := append([]string{"test", "-run", "^TestGuarantee", "-count=1", "-p=1", "-timeout", fmt.Sprint(limit)}, dirs...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, os.Stderr, os.Stderr
	cmd.Env = append(os.Environ(), guarantee.EnvDir+"="+records)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}
