package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
	"outpost/shared/tenant"
)

type adminTenantsCloseCommand struct {
	Tenant tenantID `arg:"" help:"Id of the tenant, ten_…"`
	Yes    bool     `short:"y" help:"Do not ask."`
	JSON   bool     `name:"json" help:"Write the tenant as one JSON object."`
}

// Help is the end of outpost admin tenants close --help.
func (adminTenantsCloseCommand) Help() string {
	return `A closed tenant stays closed: its keys write nothing from that instant and read nothing after 60 seconds, what waits is cancelled,
what runs is asked to end. Its data are removed 30 days later; the answer says when. To stop a tenant for a while, suspend it.`
}

func (c *adminTenantsCloseCommand) Run(s *session) error {
	if !c.Yes {
		t, err := s.api.Tenant(s.ctx, string(c.Tenant))
		if err != nil {
			return err
		}
		if t.State == "closed" {
			return s.showClosed(t, c.JSON)
		}
		if err := s.confirmClosing(t); err != nil {
			return err
		}
	}
	t, err := s.api.CloseTenant(s.ctx, string(c.Tenant))
	if err != nil {
		return err
	}
	return s.showClosed(t, c.JSON)
}

func (s *session) showClosed(t client.Tenant, asJSON bool) error {
	if asJSON {
		return s.writeJSON(t)
	}
	if !t.DataRemovedAt.IsZero() {
		_, err := fmt.Fprintf(s.stdout, "%s is closed since %s; its data were removed on %s\n", t.ID, when(t.ClosedAt), when(t.DataRemovedAt))
		return err
	}
	_, err := fmt.Fprintf(s.stdout, "%s (%s) is closed since %s; its data are removed on %s\n", t.ID, table.Clean(t.Name), when(t.ClosedAt), when(t.DataRemovalAt))
	return err
}

// confirmClosing asks on a terminal; nobody else can answer.
func (s *session) confirmClosing(t client.Tenant) error {
	if !term.IsTerminal(int(s.stdin.Fd())) {
		return usage("closing %s (%s) is for ever, and there is no terminal to ask on: say --yes", t.ID, table.Clean(t.Name))
	}
	fmt.Fprintf(s.stderr, "%s (%s, %s, plan %s by %s) would be closed for ever: its keys write nothing from that instant and read nothing after\n60 seconds, what waits or runs is ended, and its data are removed %d days later, on %s.\nType yes to close it: ",
		t.ID, table.Clean(t.Name), table.Clean(t.Email), t.Plan, t.PlanSource, int(tenant.KeptClosed.Hours()/24), when(s.clock.Now().Add(tenant.KeptClosed)))
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(io.LimitReader(s.stdin, 1<<10)).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case said := <-answer:
		if said != "yes" {
			return failed("nothing was done: %s is not closed", t.ID)
		}
		return nil
	}
}
