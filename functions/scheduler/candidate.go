package main

import (
	"context"
	"log/slog"
	"sync"

	"outpost/shared/fairshare"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// candidate is a tenant that a round looks at.
type candidate struct {
	share fairshare.Tenant
	load  tenant.Load // kept up to date with the round's starts
	queue []table.QueueEntry
	moved bool // somebody else changed it: what is known is of the past
}

type candidates map[string]*candidate

func (c candidates) shares() []fairshare.Tenant {
	var all []fairshare.Tenant
	for _, t := range c {
		all = append(all, t.share)
	}
	return all
}

// maxReads bounds how many tenants are read at once.
const maxReads = 16

// look reads the tenants that were woken and those that the index hints at,
// consistently. One that cannot be read is left out.
func (s scheduler) look(ctx context.Context, woken []string, hints []table.Waiter) candidates {
	found := candidates{}
	for _, id := range woken {
		found[id] = &candidate{}
	}
	for _, h := range hints {
		found[h.Tenant] = &candidate{}
	}
	var (
		wait sync.WaitGroup
		mu   sync.Mutex
		slot = make(chan struct{}, maxReads)
		bad  []string
	)
	for id, c := range found {
		slot <- struct{}{}
		wait.Go(func() {
			defer func() { <-slot }()
			standing, err := s.store.Standing(ctx, id)
			if err != nil {
				slog.ErrorContext(ctx, "look at a tenant", "tenant", id, "error", err)
				mu.Lock()
				bad = append(bad, id)
				mu.Unlock()
				return
			}
			c.load, c.share = standing.Load, share(ctx, id, standing)
		})
	}
	wait.Wait()
	for _, id := range bad {
		delete(found, id)
	}
	return found
}

// share is what a tenant may start. One that is not active, or whose plan is
// not known, may start nothing; what waits stays.
func share(ctx context.Context, id string, s table.Standing) fairshare.Tenant {
	limits, err := s.Entitlement.Limits()
	if err != nil {
		slog.ErrorContext(ctx, "look at a tenant", "tenant", id, "error", err)
	}
	if err != nil || s.Entitlement.State != tenant.Active {
		limits.ConcurrentRuns = 0
	}
	return fairshare.Tenant{ID: id, Weight: limits.Weight, VirtualTime: s.Load.VirtualTime,
		Waiting: s.Load.Waiting, Running: s.Load.Running, Cap: limits.ConcurrentRuns}
}
