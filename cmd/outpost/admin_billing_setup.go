package main

import (
	"fmt"
	"os"
	"strings"

	"outpost/cmd/outpost/internal/table"
	"outpost/shared/platform"
	"outpost/shared/stripe"
)

type adminBillingSetupCommand struct {
	File   string `placeholder:"FILE" help:"A declaration of your own, in the form of shared/stripe/shop.json, which is used without it."`
	Return string `placeholder:"URL" help:"Where the billing portal leads back to (default: Outpost's address)."`
	Live   bool   `help:"Allow, and want, a key that moves real money."`
	Alone  bool   `help:"No other Outpost shares this account: disable webhook endpoints that a setup made for other addresses."`
	DryRun bool   `name:"dry-run" help:"Say what would be done, and do nothing."`
}

// Run compares first and then does what is to be done, step by step. What a
// script reads is the line for cdk.json and, once, the webhook's secret.
func (c *adminBillingSetupCommand) Run(s *session) error {
	if s.url == "" {
		return usage("no address of Outpost, which Stripe's webhooks go to: use --url or set OUTPOST_URL")
	}
	declaration, err := c.declaration()
	if err != nil {
		return err
	}
	live := platform.Stripe{Key: s.getenv(envStripeKey)}.Live()
	if live && !c.Live {
		return usage("%s is a live key: say --live if you mean it", envStripeKey)
	}
	client, err := s.stripe(c.Live)
	if err != nil {
		return err
	}
	base := strings.TrimRight(s.url, "/")
	site := stripe.Site{Webhook: base + declaration.Webhook.Path, Return: c.Return, Alone: c.Alone}
	if site.Return == "" {
		site.Return = base + "/"
	}
	work, err := client.Survey(s.ctx, declaration, site)
	if err != nil {
		return ofStripe("look at what is there", err)
	}
	if !c.Alone {
		if err := s.tellStrays(client, site.Webhook); err != nil {
			return err
		}
	}
	if c.DryRun {
		return s.showSteps(work.Steps)
	}
	done := 0
	shop, err := work.Do(s.ctx, func(step stripe.Step) {
		done++
		fmt.Fprintf(s.stderr, "Done: %s\n", table.CleanBlock(step.What))
	})
	if shop.WebhookSecret != "" { // also before an error: it is told once
		fmt.Fprintf(s.stdout, "STRIPE_WEBHOOK_SECRET=%s\n", shop.WebhookSecret)
		fmt.Fprintln(s.stderr, "This is the webhook's secret, and it is shown this once. Put it into the platform secret with the key: make stripe-keys ENV=… (docs/deploy.md).")
	}
	if err != nil {
		return ofStripe(work.Steps[done].What, err)
	}
	if len(work.Steps) == 0 {
		fmt.Fprintln(s.stderr, "Everything is there already: nothing was changed.")
	}
	fmt.Fprintf(s.stdout, "\"stripe_prices\": %q,\n\"stripe_live\": %t\n", shop.Prices, c.Live)
	if past := shop.Prices.Past(); len(past) > 0 {
		fmt.Fprintf(s.stderr, "The first price of a plan is sold. %s still gives its plan to those who pay it, as long as it stands there.\n", table.Count(len(past), "price")+" of the past")
	}
	return nil
}

// tellStrays tells of webhook endpoints of other addresses, which is no fault where
// environments share an account.
func (s *session) tellStrays(client *stripe.Client, webhook string) error {
	strays, err := client.Strays(s.ctx, webhook)
	if err != nil {
		return ofStripe("list the webhook endpoints", err)
	}
	for _, e := range strays {
		fmt.Fprintf(s.stderr, "The webhook endpoint %s goes to another address, %s. Unless another Outpost is there: setup --alone disables it.\n", table.CleanBlock(e.ID), table.CleanBlock(e.URL))
	}
	return nil
}

func (c *adminBillingSetupCommand) declaration() (stripe.Declaration, error) {
	if c.File == "" {
		return stripe.Declared, nil
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return stripe.Declaration{}, usage("read the declaration: %v", err)
	}
	d, err := stripe.ReadDeclaration(text)
	if err != nil {
		return stripe.Declaration{}, usage("%s: %v", c.File, err)
	}
	return d, nil
}

func (s *session) showSteps(steps []stripe.Step) error {
	for _, step := range steps {
		if _, err := fmt.Fprintln(s.stdout, table.CleanBlock(step.What)); err != nil {
			return err
		}
	}
	if len(steps) == 0 {
		fmt.Fprintln(s.stderr, "Everything is there already: nothing would be changed.")
	}
	return nil
}
