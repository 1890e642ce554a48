package main

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
)

type secretsCommand struct {
	List  secretsListCommand  `cmd:"" default:"withargs" help:"List the secrets that are set, never their values."`
	Set   secretsSetCommand   `cmd:"" help:"Set a secret; its value is read from stdin."`
	Rm    secretsRmCommand    `cmd:"" help:"Forget a secret."`
	Check secretsCheckCommand `cmd:"" help:"Ask the provider, or the git host, whether a secret works."`
}

type secretsListCommand struct {
	JSON bool `name:"json" help:"Write one JSON array of the API's secrets."`
}

func (c *secretsListCommand) Run(s *session) error {
	secrets, err := s.api.Secrets(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(secrets)
	}
	columns := []table.Column{{Title: "SECRET"}, {Title: "ENDS IN"}, {Title: "SET"}, {Title: "HOST"}, {Title: "FOR"}}
	var rows [][]table.Cell
	for _, x := range secrets {
		rows = append(rows, []table.Cell{{Text: x.Name, Style: table.Strong}, {Text: x.Display}, {Text: x.SetAt.Local().Format("2006-01-02 15:04")},
			{Text: x.Host}, {Text: strings.Join(x.Agents, " ")}})
	}
	return s.writeTable(columns, rows)
}

type secretsSetCommand struct {
	Name string `arg:"" help:"ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY, XAI_API_KEY, DEEPSEEK_API_KEY or GIT_TOKEN."`
	Host string `placeholder:"HOST" help:"The only host that a GIT_TOKEN goes to, as github.com."`
}

// maxSecret is a little more than the API takes, in bytes, so that it is the
// API that refuses.
const maxSecret = 10 << 10

// Run reads the value from stdin: on the command line everybody on the machine
// could read it, and the shell would remember it.
func (c *secretsSetCommand) Run(s *session) error {
	value, err := s.readSecret()
	if err != nil {
		return err
	}
	if value == "" {
		return usage("the value is empty; give it on stdin")
	}
	if err := s.api.PutSecret(s.ctx, c.Name, client.NewSecret{Value: value, Host: c.Host}); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.stdout, c.Name, "is set")
	return err
}

// readSecret asks on a terminal, without showing what is typed.
func (s *session) readSecret() (string, error) {
	if fd := int(s.stdin.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(s.stderr, "Value: ")
		typed, err := term.ReadPassword(fd)
		fmt.Fprintln(s.stderr)
		return strings.TrimSpace(string(typed)), err
	}
	piped, err := io.ReadAll(io.LimitReader(s.stdin, maxSecret))
	return strings.TrimSpace(string(piped)), err
}

type secretsCheckCommand struct {
	Name string `arg:"" help:"Name of the secret."`
	Repo string `short:"r" placeholder:"URL" help:"For GIT_TOKEN: a repository on its host that not everybody may read."`
	JSON bool   `name:"json" help:"Write the API's answer as JSON."`
}

// Run succeeds when the secret works. That it is refused is a failure, and that
// nobody said the failure of whoever was asked.
func (c *secretsCheckCommand) Run(s *session) error {
	found, err := s.api.CheckSecret(s.ctx, c.Name, c.Repo)
	if err != nil {
		return err
	}
	if c.JSON {
		err = s.writeJSON(found)
	} else {
		_, err = fmt.Fprintf(s.stdout, "%s: %s. %s\n", table.Clean(found.Name), table.Clean(found.State), table.Clean(found.Detail))
	}
	switch {
	case err != nil || found.State == "works":
		return err
	case found.State == "refused":
		return &failure{exitFailed, ""}
	}
	return &failure{exitUnavailable, ""}
}

type secretsRmCommand struct {
	Name string `arg:"" help:"Name of the secret."`
}

func (c *secretsRmCommand) Run(s *session) error {
	if err := s.api.DeleteSecret(s.ctx, c.Name); err != nil {
		return err
	}
	_, err := fmt.Fprintln(s.stdout, c.Name, "is forgotten")
	return err
}
