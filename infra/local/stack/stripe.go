package stack

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	secrets "outpost/infra/local/secretsmanager"
	"outpost/infra/local/stripe"
	"outpost/shared/billing"
	"outpost/shared/checkout"
	"outpost/shared/platform"
	adapter "outpost/shared/stripe"
)

// stripeWebhook is the route that Stripe's webhooks come to.
const stripeWebhook = "/webhooks/stripe"

// Stripe is where billing goes: the stand-in of this machine, or the real one.
type Stripe struct {
	platform.Stripe
	Base   string         // URL of the API
	Prices billing.Prices // made where they were missing
	Fake   *stripe.Server // nil for the real one
}

// StripeOf is the real Stripe by the environment's STRIPE_SECRET_KEY, with
// STRIPE_WEBHOOK_SECRET, as `stripe listen` prints it; nothing without a key. A
// live key is an error: this machine is not for real money.
func StripeOf(env func(string) string) (platform.Stripe, error) {
	keys := platform.Stripe{Key: env("STRIPE_SECRET_KEY"), WebhookSecret: env("STRIPE_WEBHOOK_SECRET")}
	test := strings.HasPrefix(keys.Key, "sk_"+"test_") || strings.HasPrefix(keys.Key, "rk_"+"test_")
	switch {
	case keys.Key == "":
		return platform.Stripe{}, nil
	case !test:
		return platform.Stripe{}, errors.New("STRIPE_SECRET_KEY is not the key of a test account (sk_test_… or rk_test_…): the local target takes no other")
	case !strings.HasPrefix(keys.WebhookSecret, "whsec_"):
		return platform.Stripe{}, errors.New("STRIPE_SECRET_KEY is set, so STRIPE_WEBHOOK_SECRET must be too: run stripe listen --forward-to localhost:8080" + stripeWebhook + " and give the whsec_… that it prints")
	}
	return keys, nil
}

// startStripe starts the stand-in, unless the options have a real account, makes
// what Outpost sells there, and puts the keys into the platform secret.
func (s *Stack) startStripe(run, ctx context.Context, o Options, c *cloud) error {
	s.Stripe = Stripe{Stripe: o.Stripe, Base: "https://api.stripe.com"}
	if o.Stripe.Key == "" {
		if err := s.startStandIn(run, o); err != nil {
			return err
		}
	}
	client, err := adapter.New(adapter.Options{Keys: s.Stripe.Stripe, Base: s.Stripe.Base, Retries: 2})
	if err != nil {
		return err
	}
	if s.Stripe.Prices, err = client.SetUpPrices(ctx); err != nil {
		return fmt.Errorf("make the prices at Stripe: %w", err)
	}
	if err := client.SetUpPortal(ctx, s.URL+checkout.ReturnPath); err != nil {
		return fmt.Errorf("make the billing portal at Stripe: %w", err)
	}
	return platform.SetStripe(ctx, secretsmanager.NewFromConfig(c.cfg), secrets.ARN(platformSecret), s.Stripe.Stripe)
}

func (s *Stack) startStandIn(run context.Context, o Options) error {
	key := "sk_" + "test_standin"
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails; the webhooks' secret follows from it, and the file keeps the first
	file := filepath.Join(o.Dir, "stripe.json")
	if o.StripeForgets {
		file = ""
	}
	fake, err := stripe.New(stripe.Options{Key: key, Seed: binary.NativeEndian.Uint64(seed[:]), Clock: s.clock, File: file, URL: s.URL + stripeWebhook, Log: s.logf})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cmp.Or(o.StripeAddr, "127.0.0.1:0"))
	if err != nil {
		return fmt.Errorf("the stand-in for Stripe cannot listen on %s: is something else there? Then set OUTPOST_STRIPE_ADDR to another address (%w)", o.StripeAddr, err)
	}
	server := &http.Server{Handler: fake, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	s.stops = append(s.stops, func() { server.Close() })
	s.work.Go(func() { fake.Run(run) })
	s.Stripe.Fake, s.Stripe.Base = fake, "http://"+listener.Addr().String()
	s.Stripe.Stripe = platform.Stripe{Key: key, WebhookSecret: fake.Secret()}
	return nil
}
