// Command outpost is the command-line client of Outpost: it submits a task to
// the service, follows it, and fetches the patches.
//
// What a script reads goes to stdout; progress, hints and errors go to stderr.
// The exit code tells how it ended (exit.go).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/settings"
	"outpost/shared/clock"
)

// version is set when a release is built (-ldflags "-X main.version=…").
var version = "dev"

// grammar is the command line.
type grammar struct {
	URL        string `name:"url" placeholder:"URL" help:"Address of Outpost (else OUTPOST_URL, else the configuration file)."`
	APIKeyFile string `name:"api-key-file" placeholder:"FILE" help:"File that holds the API key (else OUTPOST_API_KEY, else the configuration file)."`
	Config     string `placeholder:"FILE" help:"Configuration file: {\"url\": …, \"api_key\": …}. Usually ~/.config/outpost/config.json."`

	Run     runCommand     `cmd:"" help:"Submit a task and follow it."`
	Get     getCommand     `cmd:"" help:"Show a task or a run."`
	List    listCommand    `cmd:"" help:"List tasks, newest first."`
	Logs    logsCommand    `cmd:"" help:"Show what the agents did."`
	Diff    diffCommand    `cmd:"" help:"Write a run's patch, or the best one of a task, to stdout."`
	Cancel  cancelCommand  `cmd:"" help:"Cancel a task or a run."`
	Agents  agentsCommand  `cmd:"" help:"List the agents that you may use."`
	Keys    keysCommand    `cmd:"" help:"Your API keys."`
	Secrets secretsCommand `cmd:"" help:"Your providers' keys and your git token."`
	Usage   usageCommand   `cmd:"" help:"What your runs took: tokens, time, cost."`
	Limits  limitsCommand  `cmd:"" help:"What you may do, and how much of it is used."`
	Billing billingCommand `cmd:"" help:"Your plan and how it is paid for."`
	Audit   auditCommand   `cmd:"" help:"Who changed what, newest first."`
	Admin   adminCommand   `cmd:"" help:"For who runs this Outpost. The operator's key stands in OUTPOST_OPERATOR_KEY."`
	Version versionCommand `cmd:"" help:"Show the client's version."`
}

func main() { os.Exit(realMain(os.Args[1:])) }

func realMain(args []string) int {
	var g grammar
	parser := kong.Must(&g, kong.Name("outpost"), kong.UsageOnError(),
		kong.Description("Send one coding task to several AI agents and take the best patch."))
	parsed, err := parser.Parse(args)
	if err != nil {
		return report(os.Stderr, usage("%v. See outpost --help", err))
	}
	if parsed.Command() == "version" {
		return report(os.Stderr, g.Version.show())
	}
	s, err := g.session(strings.HasPrefix(parsed.Command(), "admin "), slices.Contains(keyless, parsed.Command()))
	if err != nil {
		return report(os.Stderr, usage("%v", err))
	}
	defer s.close()
	return report(os.Stderr, parsed.Run(s))
}

// keyless are the commands that speak to Stripe alone.
var keyless = []string{"admin billing setup", "admin billing check"}

type versionCommand struct{}

func (versionCommand) show() error {
	_, err := fmt.Printf("outpost %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// session is what every command works with.
type session struct {
	ctx    context.Context // ends when the user wants to leave
	api    *client.Client
	url    string // of Outpost; may be empty for a keyless command
	clock  clock.Clock
	getenv func(string) string

	stdin          *os.File
	stdout, stderr *os.File

	interrupts chan os.Signal
	hold       chan bool     // asks to hold the next interrupt back
	held       chan struct{} // receives it
	close      func()
}

// session begins a session with a tenant's key, the operator's, or none.
func (g *grammar) session(operator, keyless bool) (*session, error) {
	conf, err := settings.Load(settings.Flags{URL: g.URL, KeyFile: g.APIKeyFile, Config: g.Config, Operator: operator, Keyless: keyless}, os.Getenv)
	if err != nil {
		return nil, err
	}
	for _, w := range conf.Warnings {
		fmt.Fprintln(os.Stderr, "outpost: warning:", w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{
		ctx: ctx, api: client.New(conf.URL, conf.Key, version), url: conf.URL, clock: clock.System, getenv: os.Getenv,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		interrupts: make(chan os.Signal, 4), hold: make(chan bool), held: make(chan struct{}, 1), close: cancel,
	}
	signal.Notify(s.interrupts, os.Interrupt, syscall.SIGTERM)
	go s.watch(cancel)
	return s, nil
}

// watch ends the session on a signal, except for the one interrupt that a
// command asked to have told.
func (s *session) watch(cancel func()) {
	hold := false
	for {
		select {
		case hold = <-s.hold:
		case sig := <-s.interrupts:
			if !hold || sig != os.Interrupt {
				cancel()
				return
			}
			hold = false
			s.held <- struct{}{}
		}
	}
}
