package main

import (
	"context"

	"outpost/shared/agent"
	"outpost/shared/api"
)

type handler struct{}

type entry struct {
	Name         string   `json:"name"`
	Title        string   `json:"title"`
	DefaultModel string   `json:"default_model"`
	Models       []string `json:"models"`
	Secrets      []string `json:"secrets"`
}

func (handler) handle(_ context.Context, r *api.Request) (api.Response, error) {
	limits, err := r.Caller.Entitlement.Limits()
	if err != nil {
		return api.Response{}, err
	}
	page := api.Page[entry]{Data: []entry{}}
	for _, a := range agent.All() {
		if !limits.Allows(a.Name) {
			continue
		}
		e := entry{Name: a.Name, Title: a.Title, DefaultModel: a.DefaultModel, Secrets: a.Secrets()}
		for _, f := range a.Models {
			e.Models = append(e.Models, f.Prefix)
		}
		page.Data = append(page.Data, e)
	}
	return api.OK(page), nil
}
