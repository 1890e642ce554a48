package main

import (
	"fmt"
	"net"
	"net/url"

	"outpost/shared/stripe"
)

type adminBillingCommand struct {
	Setup  adminBillingSetupCommand  `cmd:"" help:"Make at Stripe what Outpost sells: products, prices, portal, webhook endpoint. Takes STRIPE_SECRET_KEY from the environment."`
	Check  adminBillingCheckCommand  `cmd:"" help:"Hold the prices of the settings against Stripe. Takes STRIPE_SECRET_KEY from the environment."`
	Show   adminBillingShowCommand   `cmd:"" help:"How a tenant stands, beside what Stripe says."`
	Sync   adminBillingSyncCommand   `cmd:"" help:"Make a tenant's plan what Stripe says, now."`
	Replay adminBillingReplayCommand `cmd:"" help:"Have Stripe's events tried again that were given up."`
}

// Where the commands that speak to Stripe find their key, and whose address
// replaces Stripe's own.
const (
	envStripeKey  = "STRIPE_SECRET_KEY"
	envStripeBase = "STRIPE_API_BASE"
)

// stripe makes a client of Stripe with the key of the environment, which must be
// live or not as is said. No error quotes the key.
func (s *session) stripe(live bool) (*stripe.Client, error) {
	key, base := s.getenv(envStripeKey), s.getenv(envStripeBase)
	if key == "" {
		return nil, usage("no key of Stripe: set %s (read -rs %s; export %s)", envStripeKey, envStripeKey, envStripeKey)
	}
	if base != "" && !safe(base) {
		return nil, usage("%s must be https, or on this machine: the key goes there", envStripeBase)
	}
	client, err := stripe.NewSetup(key, base, live)
	if err != nil {
		return nil, usage("%v", err)
	}
	return client, nil
}

// safe tells whether a key may go to an address.
func safe(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// ofStripe is an error of Stripe's as an exit code has it: refused, or not
// available.
func ofStripe(doing string, err error) error {
	code := exitRefused
	if stripe.Down(err) {
		code = exitUnavailable
	}
	return &failure{code, fmt.Sprintf("%s: %s", doing, stripe.Reason(err))}
}
