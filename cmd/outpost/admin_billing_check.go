package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"outpost/cmd/outpost/internal/table"
	"outpost/shared/billing"
	"outpost/shared/platform"
	"outpost/shared/stripe"
)

type adminBillingCheckCommand struct {
	Prices string `placeholder:"PRICE=PLAN,…" help:"The table of prices (else OUTPOST_STRIPE_PRICES)."`
	Env    string `placeholder:"NAME" help:"Take the table of this environment from cdk.json instead, and whether its money is real."`
	CDK    string `name:"cdk-json" default:"cdk.json" placeholder:"FILE" help:"Where cdk.json is (default: here)."`
}

// Run ends with 1 when Stripe does not sell what the settings say, a line each.
func (c *adminBillingCheckCommand) Run(s *session) error {
	text, live := c.Prices, platform.Stripe{Key: s.getenv(envStripeKey)}.Live()
	if text == "" {
		text = s.getenv("OUTPOST_STRIPE_PRICES")
	}
	if c.Env != "" {
		if c.Prices != "" {
			return usage("--prices and --env are two tables: say one")
		}
		var wanted bool
		var err error
		if text, wanted, err = c.ofEnvironment(); err != nil {
			return err
		}
		if s.getenv(envStripeKey) != "" && wanted != live {
			return failed("stripe_live of %s is %t, and %s is live: %t", c.Env, wanted, envStripeKey, live)
		}
	}
	if text == "" {
		return usage("no table of prices: say --prices, --env, or set OUTPOST_STRIPE_PRICES")
	}
	prices, err := billing.ParsePrices(text)
	if err != nil {
		return failed("the table of prices: %v", err)
	}
	client, err := s.stripe(live)
	if err != nil {
		return err
	}
	if s.url != "" {
		if err := s.tellStrays(client, strings.TrimRight(s.url, "/")+stripe.Declared.Webhook.Path); err != nil {
			return err
		}
	}
	wrong, err := client.Differences(s.ctx, prices)
	if err != nil {
		return ofStripe("read the prices", err)
	}
	for _, w := range wrong {
		if _, err := fmt.Fprintln(s.stdout, table.CleanBlock(w)); err != nil {
			return err
		}
	}
	if len(wrong) > 0 {
		return failed("Stripe does not sell what the settings say: %s", table.Count(len(wrong), "difference"))
	}
	past := len(prices.Past())
	if _, err := fmt.Fprintf(s.stdout, "Stripe sells all %d prices as the plans say.\n", len(prices)-past); err != nil || past == 0 {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "It has %s of the past, too.\n", table.Count(past, "price"))
	return err
}

// ofEnvironment reads what cdk.json says of an environment.
func (c *adminBillingCheckCommand) ofEnvironment() (prices string, live bool, err error) {
	text, err := os.ReadFile(c.CDK)
	if err != nil {
		return "", false, usage("read the settings: %v", err)
	}
	var file struct {
		Context struct {
			Environments map[string]struct {
				StripePrices string `json:"stripe_prices"`
				StripeLive   bool   `json:"stripe_live"`
			}
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return "", false, usage("%s is not JSON: %v", c.CDK, err)
	}
	e, ok := file.Context.Environments[c.Env]
	if !ok {
		return "", false, usage("%s has no environment %q", c.CDK, c.Env)
	}
	if e.StripePrices == "" {
		return "", false, failed("the environment %s sells nothing: its stripe_prices are empty", c.Env)
	}
	return e.StripePrices, e.StripeLive, nil
}
