// Command smoke runs one whole task against an Outpost, deployed or local, and
// checks each step of it as a tenant would see it.
//
//	OUTPOST_API_KEY=… go run ./infra/smoke -url https://… -repo https://…
//
// Exit codes: 0 all is well, 1 a step failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
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
	o := options{key: strings.TrimSpace(getenv("OUTPOST_API_KEY"))}
	flags := flag.NewFlagSet("smoke", flag.ContinueOnError)
	flags.SetOutput(complain)
	flags.StringVar(&o.url, "url", getenv("OUTPOST_URL"), "base URL of the API (OUTPOST_URL)")
	flags.StringVar(&o.repo, "repo", octocat, "repository that the task works on")
	flags.StringVar(&o.agent, "agent", "claude", "agent that works")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Minute, "how long all of it may take")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintln(complain, "smoke:", err)
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	git, _ := exec.LookPath("git") // without it the patch is not applied
	s := &smoke{options: o, api: newService(o.url, o.key), git: git, out: out}
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(complain, "smoke:", err)
		return 1
	}
	return 0
}

// check says what is wrong with the options, if anything is.
func (o options) check(rest []string) error {
	u, err := url.Parse(o.url)
	switch {
	case len(rest) > 0:
		return fmt.Errorf("there is nothing to do with %s", strings.Join(rest, " "))
	case o.url == "":
		return errors.New("say where the API is: -url or OUTPOST_URL")
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the address of the API must look like https://host") // it may hold a password
	case o.key == "":
		return errors.New("set OUTPOST_API_KEY to a tenant's key")
	case o.timeout <= 0:
		return errors.New("-timeout must be more than nothing, as in 15m")
	}
	return nil
}
