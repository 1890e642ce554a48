package main

import (
	"context"
	"slices"
	"time"

	"outpost/shared/agent"
	"outpost/shared/api"
	"outpost/shared/secret"
	"outpost/shared/table"
	"outpost/shared/topology"
)

type store interface {
	Secrets(ctx context.Context, tenantID string) ([]table.Sealed, error)
}

type handler struct {
	store store
	in    topology.SecretStore
}

type entry struct {
	Name    string   `json:"name"`
	Display string   `json:"display"`
	Host    *string  `json:"host"`
	SetAt   string   `json:"set_at"`
	Agents  []string `json:"agents"`
}

func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	sealed, err := h.store.Secrets(ctx, r.Caller.Tenant)
	if err != nil {
		return api.Response{}, err
	}
	page := api.Page[entry]{Data: []entry{}}
	for _, s := range sealed {
		if !s.In(h.in) { // set before another store was chosen: it is to be set again
			continue
		}
		e := entry{Name: s.Name, Display: s.Display, SetAt: s.SetAt.UTC().Format(time.RFC3339), Agents: needing(s.Name)}
		if s.Host != "" {
			e.Host = &s.Host
		}
		page.Data = append(page.Data, e)
	}
	return api.OK(page), nil
}

// needing lists the agents that may need a secret: all of them a git token.
func needing(name string) []string {
	names := []string{}
	for _, a := range agent.All() {
		if name == secret.GitToken || slices.Contains(a.Secrets(), name) {
			names = append(names, a.Name)
		}
	}
	return names
}
