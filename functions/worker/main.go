// Command worker is what a container of Outpost runs: it claims one attempt at
// a run, brings the repository to an agent, drives the agent's CLI behind a
// provider proxy until the deadline, makes and verifies the patch, and reports.
// It holds no AWS identity: its environment is the API's address and a ticket.
//
// Exit code 0 says that the result was taken, or that the attempt was not for
// this worker to do. Any other is an infrastructure failure.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"outpost/functions/worker/internal/checkout"
	"outpost/functions/worker/internal/outcome"
	"outpost/shared/clock"
)

func main() {
	if answer, asked := checkout.Answer(os.Args, os.Getenv); asked {
		fmt.Println(answer)
		return
	}
	log.SetFlags(0)
	log.SetPrefix("worker: ")
	settings, err := readSettings(os.Getenv)
	if err != nil {
		log.Print(err)
		os.Exit(1)
	}
	// Children get environments of their own. This process's first one stays
	// readable in /proc; the only secret in it is the ticket, which the claim binds
	// to a nonce that is in no environment. The provider's key never is in one.
	os.Clearenv()
	// Other processes of this user may not read this one's memory, where the keys are.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.Printf("stay readable: %v", err)
	}

	ctx, stop := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		stop(outcome.ErrStopped)
	}()
	w := &Worker{Settings: settings, Clock: clock.System, HTTP: &http.Client{}, Log: log.Printf}
	os.Exit(w.Run(ctx))
}
