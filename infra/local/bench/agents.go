package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"outpost/infra/local/agents"
	"outpost/infra/local/provider"
	"outpost/shared/agent"
)

// measureAgents sends one task to every agent and compares its wall time with
// the slowest agent's own. Aider needs python3; without it the others run.
func measureAgents(ctx context.Context, root string, p *page) error {
	names := agent.Names()
	bin, err := agents.Install(ctx, names, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "without aider:", err)
		names = names[:4]
		if bin, err = agents.Install(ctx, nil, os.Stderr); err != nil {
			return err
		}
	}
	scripted, err := provider.Start()
	if err != nil {
		return err
	}
	defer scripted.Close()
	b, err := newBed(ctx, root, bin, scripted.URL)
	if err != nil {
		return err
	}
	defer b.close()
	body := func(agents ...string) map[string]any {
		return map[string]any{"repo": "file://" + b.repo, "agents": agents, "prompt": "Write it. [write path=notes.txt]hello\n[/write]", "verify": "test -s notes.txt"}
	}
	p.head("Agents side by side, answered by the scripted provider", "", "s", "succeeded")
	var slowest time.Duration
	for _, name := range names {
		began := time.Now()
		tk, err := b.submit(ctx, body(name))
		if err != nil {
			return err
		}
		took := time.Since(began)
		slowest = max(slowest, took)
		p.row(name+" alone", seconds(took), tk.RunCounts.Succeeded)
	}
	began := time.Now()
	tk, err := b.submit(ctx, body(names...))
	if err != nil {
		return err
	}
	together := time.Since(began)
	p.row(fmt.Sprintf("all %d at once", len(names)), seconds(together), tk.RunCounts.Succeeded)
	p.say("\nAll at once take %.1f times the slowest one's time alone.", together.Seconds()/slowest.Seconds())
	return nil
}
