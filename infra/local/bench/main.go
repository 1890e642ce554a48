// Command bench measures Outpost on this machine and rewrites
// docs/benchmarks.md: calls and units by counting them, times as medians and
// ratios. Nothing here is a limit that a test holds.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	page := &page{}
	page.machine()
	fmt.Fprintln(os.Stderr, "The demo …")
	if err := page.demo(ctx, root); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "Calls, units and latency …")
	if err := measureCalls(ctx, root, page); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "The agents side by side …")
	if err := measureAgents(ctx, root, page); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "What is deployed …")
	if err := page.deployment(ctx, root); err != nil {
		return err
	}
	if err := page.lines(root); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "The tests …")
	if err := page.tests(ctx, root); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs", "benchmarks.md"), []byte(page.String()), 0o644)
}
