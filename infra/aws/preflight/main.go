// Command preflight asks an AWS account, before the first deployment, whether
// its quotas are enough for an environment, and says what to ask for.
//
//	go run ./infra/aws/preflight -env dev
//
// Exit codes: 0 all is enough, 1 something must be asked for or done, 2 the
// account could not be asked.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
)

// patience bounds all of it.
const patience = time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], "cdk.json", config.LoadDefaultConfig, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// loader is config.LoadDefaultConfig.
type loader func(ctx context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error)

func run(ctx context.Context, args []string, settings string, load loader, out, complain io.Writer) (code int) {
	flags := flag.NewFlagSet("preflight", flag.ContinueOnError)
	flags.SetOutput(complain)
	name := flags.String("env", "", "environment of cdk.json")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	fail := func(err error) int {
		if ctx.Err() != nil {
			err = fmt.Errorf("the account was not asked to the end: %w", ctx.Err())
		}
		fmt.Fprintln(complain, "preflight:", err)
		return 2
	}
	e, err := readEnvironment(settings, *name)
	if err != nil {
		return fail(err)
	}
	var cancel func()
	ctx, cancel = context.WithTimeout(ctx, patience)
	defer cancel()
	// The SDK would log where it looked for credentials: one sentence is enough.
	cfg, err := load(ctx, config.WithRegion(e.Region), config.WithLogger(logging.Nop{}))
	if err != nil {
		return fail(fmt.Errorf("the AWS configuration cannot be read: %w", err))
	}
	asked := newAccount(cfg)
	who, err := asked.identify(ctx, e)
	if err != nil {
		return fail(err)
	}
	fmt.Fprintf(out, "Account %s as %s, region %s, for %s with %d runs in flight.\n\n", who.account, who.arn, e.Region, e.Name, e.FleetCap)
	findings := asked.examine(ctx, e)
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	return report(out, findings, e.Region)
}

// environment is what of an environment's settings matters here.
type environment struct {
	Name                string `json:"-"`
	Account             string
	Region              string
	FleetCap            int            `json:"fleet_cap"`
	SpotFirstAttempts   bool           `json:"spot_first_attempts"`
	ReservedConcurrency map[string]int `json:"reserved_concurrency"`
}

func readEnvironment(path, name string) (e environment, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return e, fmt.Errorf("the settings are not there: %w", err)
	}
	var file struct {
		Context struct{ Environments map[string]environment }
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return e, fmt.Errorf("%s: %w", path, err)
	}
	e, ok := file.Context.Environments[name]
	if !ok {
		return e, fmt.Errorf("%s has no environment %q (-env)", path, name)
	}
	if e.Region == "" || e.FleetCap < 1 {
		return e, fmt.Errorf("environment %s has no region or no fleet_cap", name)
	}
	e.Name = name
	return e, nil
}
