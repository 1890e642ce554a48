// Command smoke runs one whole task against an Outpost, deployed or local, and
// checks each step of it as a tenant would see it.
//
//	OUTPOST_API_KEY=… go run ./infra/smoke -url https://… -repo https://…
//
// Exit codes: 0 all is well, 1 a step failed, 2 wrong usage.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options say what to check.
type options struct {
	url, key, repo, agent string
	timeout               time.Duration
}

// octocat is a public repository that is small and stays.
const octocat = "https://github.com/octocat/Hello-World"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, getenv func(string) string, out, complain io.Writer) (code int) {
	o := options{key: getenv("OUTPOST_API_KEY")}
	flags := flag.NewFlagSet("smoke", flag.ContinueOnError)
	flags.SetOutput(complain)
	flags.StringVar(&o.url, "url", getenv("OUTPOST_URL"), "base URL of the API (OUTPOST_URL)")
	flags.StringVar(&o.repo, "repo", octocat, "repository that the task works on")
	flags.StringVar(&o.agent, "agent", "claude", "agent that works")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Minute, "how long all of it may take")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	for what, missing := range map[string]bool{"Say where the API is: -url or OUTPOST_URL.": o.url == "", "Set OUTPOST_API_KEY to a tenant's key.": o.key == "",
		"There is nothing to do with " + strings.Join(flags.Args(), " ") + ".": flags.NArg() > 0} {
		if missing {
			fmt.Fprintln(complain, "smoke:", what)
			return 2
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	s := &smoke{options: o, api: newService(o.url, o.key), out: out}
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(complain, "smoke:", err)
		return 1
	}
	return 0
}
