// Command demo is what `make demo` runs: one task, several real agent CLIs,
// verified patches, on an Outpost of its own that is gone afterwards. It drives
// the command-line client as a newcomer would, and fails unless the best patch
// makes the failing test pass.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// limit ends a demonstration that hangs. Installing does not count.
const limit = 10 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// Who reads the output may leave (make demo | head): that ends the writing
	// and not this program, which has to clean up.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	out := os.Stdout
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stdout = null // the S3 engine's library greets on it
	}
	os.Exit(demonstrate(ctx, os.Getenv, out))
}

// demonstrate returns the exit code. It leaves no process and, unless it
// failed, no data.
func demonstrate(ctx context.Context, getenv func(string) string, out io.Writer) int {
	adopt()
	dir, err := os.MkdirTemp("", "outpost-demo-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "The demo failed: no temporary folder:", err)
		return 1
	}
	began := time.Now()
	d := demo{dir: dir, live: getenv("LIVE") == "1", getenv: getenv, out: out}
	err = d.run(ctx)
	if left := leftOver(); left != nil {
		err = errors.Join(err, left)
	}
	switch {
	case ctx.Err() != nil:
		os.RemoveAll(dir)
		fmt.Fprintln(os.Stderr, "Interrupted; everything is stopped and removed.")
		return 130
	case err != nil && d.began:
		fmt.Fprintf(os.Stderr, "\nThe demo failed: %v.\nThe logs are in %s (outpost.log; one file a worker in ecs).\n", err, filepath.Join(dir, "data"))
		return 1
	case err != nil:
		os.RemoveAll(dir)
		fmt.Fprintf(os.Stderr, "\nThe demo cannot run: %v.\n", err)
		return 1
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "The demo worked, but its data stays:", err)
		return 1
	}
	fmt.Fprintf(out, "\nDone in %.0f s. Nothing is left running. Next: make run, then the README's \"Use it\".\n", time.Since(began).Seconds())
	return 0
}
