package main

import (
	"fmt"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
)

type billingCommand struct {
	Show     billingShowCommand     `cmd:"" default:"withargs" help:"Show your plan, and why and until when it is yours."`
	Checkout billingCheckoutCommand `cmd:"" help:"Begin a subscription: prints the address of a page on which to pay."`
	Plan     billingPlanCommand     `cmd:"" help:"Change the plan of your subscription, or end it with the plan free."`
	Portal   billingPortalCommand   `cmd:"" help:"Prints the address of your billing portal: cards, invoices, the end."`
}

type billingShowCommand struct {
	JSON bool `name:"json" help:"Write the API's answer as one JSON object."`
}

func (c *billingShowCommand) Run(s *session) error {
	b, err := s.api.Billing(s.ctx)
	if err != nil {
		return err
	}
	return s.showBilling(b, c.JSON)
}

// showBilling shows a plan with its sentence, which says what the other fields do.
func (s *session) showBilling(b client.Billing, asJSON bool) error {
	if asJSON {
		return s.writeJSON(b)
	}
	_, err := fmt.Fprintf(s.stdout, "%s: %s\n", table.Clean(b.Plan), table.Clean(b.Sentence))
	if b.CheckedAt != nil {
		fmt.Fprintf(s.stderr, "As of %s.\n", when(*b.CheckedAt))
	}
	return err
}

type billingCheckoutCommand struct {
	Plan       string `arg:"" help:"pro or enterprise."`
	SuccessURL string `name:"success-url" placeholder:"URL" help:"Where the page leads once it is paid (default: to a page of Outpost's)."`
	CancelURL  string `name:"cancel-url" placeholder:"URL" help:"Where the page leads back to (default: nowhere)."`
	JSON       bool   `name:"json" help:"Write the API's answer as one JSON object."`
}

func (c *billingCheckoutCommand) Run(s *session) error {
	p, err := s.api.Checkout(s.ctx, client.CheckoutWish{Plan: c.Plan, SuccessURL: c.SuccessURL, CancelURL: c.CancelURL})
	return s.showPage(p, err, c.JSON)
}

// showPage writes an address to stdout, and to stderr what it is for.
func (s *session) showPage(p client.Page, err error, asJSON bool) error {
	if err != nil {
		return err
	}
	if asJSON {
		return s.writeJSON(p)
	}
	fmt.Fprintln(s.stderr, "Open this in a browser; whoever has it can go on there:")
	_, err = fmt.Fprintln(s.stdout, table.Clean(p.URL))
	return err
}

type billingPlanCommand struct {
	Plan string `arg:"" help:"The plan that you want: pro, enterprise, or free to end the subscription with its period."`
	JSON bool   `name:"json" help:"Write the API's answer as one JSON object."`
}

func (c *billingPlanCommand) Run(s *session) error {
	b, err := s.api.ChangePlan(s.ctx, c.Plan)
	if err != nil {
		return err
	}
	return s.showBilling(b, c.JSON)
}

type billingPortalCommand struct {
	ReturnURL string `name:"return-url" placeholder:"URL" help:"Where the portal leads back to (default: to a page of Outpost's)."`
	JSON      bool   `name:"json" help:"Write the API's answer as one JSON object."`
}

func (c *billingPortalCommand) Run(s *session) error {
	p, err := s.api.Portal(s.ctx, client.PortalWish{ReturnURL: c.ReturnURL})
	return s.showPage(p, err, c.JSON)
}
