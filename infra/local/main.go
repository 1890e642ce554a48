// Command local serves the whole of Outpost on this machine until it is
// interrupted: what `make run` starts.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"outpost/infra/local/agents"
	"outpost/infra/local/provider"
	"outpost/infra/local/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stdout = null // the S3 engine's library greets on it; we speak on stderr
	}
	if err := serve(ctx, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "outpost:", err)
		os.Exit(1)
	}
}

// serve runs Outpost over .outpost until the context ends or an engine dies.
func serve(ctx context.Context, env func(string) string) error {
	bin, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	live := env("LIVE") == "1"
	fmt.Fprintln(os.Stderr, "Starting Outpost …")
	installed, err := agents.Install(ctx, nil, os.Stderr)
	if err != nil {
		return err
	}
	o := stack.Options{Dir: ".outpost", Addr: env("OUTPOST_ADDR"), BinDir: filepath.Dir(bin), Agents: installed, Progress: os.Stderr,
		Secrets: stack.Secrets(live, env), StripeAddr: env("OUTPOST_STRIPE_ADDR")}
	if store := env("OUTPOST_SECRET_STORE"); store != "" {
		o.Settings = map[string]string{"OUTPOST_SECRET_STORE": store}
	}
	if o.Stripe, err = stack.StripeOf(env); err != nil {
		return err
	}
	if o.StripeAddr == "" {
		o.StripeAddr = "127.0.0.1:8081"
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:8080"
	}
	if !live {
		scripted, err := provider.Start()
		if err != nil {
			return err
		}
		defer scripted.Close()
		o.ProviderURL = scripted.URL
	}
	s, err := stack.Start(ctx, o)
	if err != nil {
		return err
	}
	defer s.Stop()
	file, err := s.WriteEnv()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Outpost serves %s (%s); billing asks Stripe at %s. Addresses and keys are in %s; Ctrl-C ends it.\n", s.URL, answers(live), s.Stripe.Base, file)
	select {
	case <-ctx.Done():
		fmt.Fprintln(os.Stderr, "Stopping …")
		return nil
	case err := <-s.Failed():
		return err
	}
}

func answers(live bool) string {
	if live {
		return "the real providers answer"
	}
	return "the scripted provider answers"
}
