package main

import (
	"fmt"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
	"outpost/shared/id"
)

type adminTenantsCommand struct {
	List      adminTenantsListCommand      `cmd:"" default:"withargs" help:"List the tenants, oldest first."`
	Show      adminTenantsShowCommand      `cmd:"" help:"Show a tenant with its limits."`
	Create    adminTenantsCreateCommand    `cmd:"" help:"Make a tenant. Its first API key is shown this once."`
	Update    adminTenantsUpdateCommand    `cmd:"" help:"Change what you name of a tenant, and nothing else."`
	Suspend   adminTenantsSuspendCommand   `cmd:"" help:"Suspend a tenant: it reads, but starts nothing. What runs ends normally, what waits starts once it is reinstated."`
	Reinstate adminTenantsReinstateCommand `cmd:"" help:"Make a suspended tenant active again."`
	Close     adminTenantsCloseCommand     `cmd:"" help:"Close a tenant for ever. Its data are removed 30 days later."`
}

// tenantID is the id of a tenant on the command line.
type tenantID string

// Validate is called by the parser.
func (t tenantID) Validate() error {
	if _, err := id.ULID(id.Tenant, string(t)); err != nil {
		return fmt.Errorf("%q is no id of a tenant (ten_…)", string(t))
	}
	return nil
}

type adminTenantsListCommand struct {
	Limit int  `default:"100" placeholder:"N" help:"How many at most (default: 100)."`
	JSON  bool `name:"json" help:"Write one JSON array of the API's tenants."`
}

func (c *adminTenantsListCommand) Run(s *session) error {
	if c.Limit < 1 {
		return usage("--limit must be at least 1")
	}
	tenants, err := s.api.Tenants(s.ctx, max(c.Limit, c.Limit+1)) // one more tells whether there are more
	if err != nil {
		return err
	}
	if len(tenants) > c.Limit {
		tenants = tenants[:c.Limit]
		fmt.Fprintf(s.stderr, "There are more than these %d: --limit N shows more.\n", c.Limit)
	}
	if c.JSON {
		return s.writeJSON(tenants)
	}
	columns := []table.Column{{Title: "TENANT"}, {Title: "NAME"}, {Title: "EMAIL"}, {Title: "PLAN"}, {Title: "PLAN BY"}, {Title: "STATE"}, {Title: "CREATED"}}
	var rows [][]table.Cell
	for _, t := range tenants {
		rows = append(rows, []table.Cell{{Text: t.ID}, {Text: t.Name, Style: table.Strong}, {Text: t.Email}, {Text: t.Plan}, {Text: t.PlanSource},
			{Text: t.State, Style: tenantStyle(t.State)}, {Text: when(t.CreatedAt)}})
	}
	return s.writeTable(columns, rows)
}

func tenantStyle(state string) table.Style {
	switch state {
	case "active":
		return table.Good
	case "suspended":
		return table.Busy
	}
	return table.Dim
}

type adminTenantsShowCommand struct {
	Tenant tenantID `arg:"" help:"Id of the tenant, ten_…"`
	JSON   bool     `name:"json" help:"Write the API's answer as one JSON object."`
}

func (c *adminTenantsShowCommand) Run(s *session) error {
	t, err := s.api.Tenant(s.ctx, string(c.Tenant))
	if err != nil {
		return err
	}
	return s.showTenant(t, c.JSON)
}

func (s *session) showTenant(t client.Tenant, asJSON bool) error {
	if asJSON {
		return s.writeJSON(t)
	}
	if err := s.showFacts([][2]string{
		{"tenant", t.ID}, {"name", t.Name}, {"email", t.Email}, {"plan", t.Plan}, {"plan by", t.PlanSource}, {"state", t.State}, {"created", when(t.CreatedAt)},
		{"closed", when(t.ClosedAt)}, {"data until", when(t.DataRemovalAt)}, {"data removed", when(t.DataRemovedAt)}, {"api key", t.APIKey},
	}); err != nil {
		return err
	}
	fmt.Fprintln(s.stdout)
	var rows [][]table.Cell
	for _, l := range tenantLimits {
		by := table.Cell{Text: "the plan", Style: table.Dim}
		if _, own := t.Overrides[l.field]; own {
			by = table.Cell{Text: "the operator", Style: table.Strong}
		}
		rows = append(rows, []table.Cell{{Text: l.title}, {Text: l.show(t.Limits)}, by})
	}
	return s.writeTable([]table.Column{{Title: "LIMIT"}, {Title: "IS"}, {Title: "SET BY"}}, rows)
}

type adminTenantsCreateCommand struct {
	Name   string     `arg:"" help:"Its name."`
	Email  string     `required:"" placeholder:"ADDRESS" help:"Where it is written to."`
	Plan   string     `placeholder:"PLAN" help:"free, pro or enterprise (default: free)."`
	Limits limitFlags `embed:""`
	JSON   bool       `name:"json" help:"Write the API's answer as one JSON object, the key among it."`
	once
}

func (c *adminTenantsCreateCommand) Run(s *session) error {
	limits, err := c.Limits.set()
	if err != nil {
		return err
	}
	key := c.key()
	repeat := "--idempotency-key " + key
	made, replayed, err := s.api.CreateTenant(s.ctx, client.NewTenant{Name: c.Name, Email: c.Email, Plan: c.Plan, Limits: limits}, key)
	if err != nil {
		return s.unsure(err, "the tenant was made", repeat)
	}
	s.madeBefore(replayed, made.ID)
	fmt.Fprintln(s.stderr, "The API key is the tenant's first and may do everything in it. It is shown this once; Outpost keeps nothing that it could be read from.")
	return s.showOnce(func() error { return s.showTenant(made, c.JSON) }, repeat)
}

type adminTenantsUpdateCommand struct {
	Tenant     tenantID   `arg:"" help:"Id of the tenant, ten_…"`
	Name       string     `placeholder:"NAME" help:"Its name."`
	Email      string     `placeholder:"ADDRESS" help:"Where it is written to."`
	Plan       string     `placeholder:"PLAN" help:"free, pro or enterprise. The plan is the operator's from then on, unless --plan-source says otherwise."`
	PlanSource string     `placeholder:"WHO" help:"Who decides about the plan: operator or stripe."`
	Limits     limitFlags `embed:""`
	JSON       bool       `name:"json" help:"Write the tenant as one JSON object."`
}

// Help is the end of outpost admin tenants update --help.
func (adminTenantsUpdateCommand) Help() string {
	return `What you do not name stays as it is at that moment, single limits too: nothing that another operator changes meanwhile is undone. Of two who change
the same thing the later wins; outpost audit, with a key of the tenant, shows both changes.

A limit that is set here stands in the place of the plan's, whatever becomes of the plan, until it is set to "plan".`
}

func (c *adminTenantsUpdateCommand) Run(s *session) error {
	limits, err := c.Limits.changed()
	if err != nil {
		return err
	}
	change := client.TenantChange{Name: c.Name, Email: c.Email, Plan: c.Plan, PlanSource: c.PlanSource, Limits: limits}
	if c.Name == "" && c.Email == "" && c.Plan == "" && c.PlanSource == "" && len(limits) == 0 {
		return usage("say what is to be otherwise: see outpost admin tenants update --help")
	}
	t, err := s.api.ChangeTenant(s.ctx, string(c.Tenant), change)
	if err != nil {
		return err
	}
	return s.showTenant(t, c.JSON)
}

type adminTenantsSuspendCommand struct {
	Tenant tenantID `arg:"" help:"Id of the tenant, ten_…"`
	JSON   bool     `name:"json" help:"Write the tenant as one JSON object."`
}

func (c *adminTenantsSuspendCommand) Run(s *session) error {
	return s.putTenant(c.Tenant, "suspended", c.JSON)
}

type adminTenantsReinstateCommand struct {
	Tenant tenantID `arg:"" help:"Id of the tenant, ten_…"`
	JSON   bool     `name:"json" help:"Write the tenant as one JSON object."`
}

func (c *adminTenantsReinstateCommand) Run(s *session) error {
	return s.putTenant(c.Tenant, "active", c.JSON)
}

// putTenant puts a tenant into a state.
func (s *session) putTenant(id tenantID, state string, asJSON bool) error {
	t, err := s.api.ChangeTenant(s.ctx, string(id), client.TenantChange{State: state})
	if err != nil {
		return err
	}
	if asJSON {
		return s.writeJSON(t)
	}
	_, err = fmt.Fprintf(s.stdout, "%s (%s) is %s\n", t.ID, table.Clean(t.Name), t.State)
	return err
}
