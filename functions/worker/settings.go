package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"outpost/shared/runner"
	"outpost/shared/topology"
)

// Settings are what the worker's environment tells.
type Settings struct {
	API     string // base URL, without a slash at its end
	Run     string
	Attempt int
	Ticket  string
	Agents  string // folder of the agents' executables
	Path    string // PATH of git, the agents and the tenant's commands
	Scratch string // folder for everything that the run writes
	Program string // this executable, which answers git's questions
}

// What the image has, where the environment does not say.
const (
	defaultAgents = "/opt/outpost/agents"
	defaultPath   = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// readSettings reads the environment. The error names every variable that is
// missing or malformed.
func readSettings(getenv func(string) string) (Settings, error) {
	or := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	s := Settings{
		API:     strings.TrimRight(getenv(runner.EnvAPI), "/"),
		Run:     getenv(runner.EnvRun),
		Ticket:  getenv(runner.EnvTicket),
		Agents:  or(getenv(topology.EnvAgents), defaultAgents),
		Path:    or(getenv("PATH"), defaultPath),
		Scratch: or(getenv("TMPDIR"), os.TempDir()),
	}
	var errs []error
	if u, err := url.Parse(s.API); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("%s is no HTTP URL", runner.EnvAPI))
	}
	if s.Run == "" {
		errs = append(errs, fmt.Errorf("%s is not set", runner.EnvRun))
	}
	if s.Ticket == "" {
		errs = append(errs, fmt.Errorf("%s is not set", runner.EnvTicket))
	}
	var err error
	if s.Attempt, err = strconv.Atoi(getenv(runner.EnvAttempt)); err != nil || s.Attempt < 1 {
		errs = append(errs, fmt.Errorf("%s is no positive number", runner.EnvAttempt))
	}
	if s.Program, err = os.Executable(); err != nil {
		errs = append(errs, fmt.Errorf("find this program: %w", err))
	}
	if !filepath.IsAbs(s.Scratch) || !filepath.IsAbs(s.Agents) {
		errs = append(errs, errors.New("TMPDIR and "+topology.EnvAgents+" must be absolute paths"))
	}
	return s, errors.Join(errs...)
}
