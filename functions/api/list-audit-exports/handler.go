package main

import (
	"context"
	"strconv"
	"time"

	"outpost/shared/api"
	"outpost/shared/artifact"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/tenant"
)

type store interface {
	Tenant(ctx context.Context, tenantID string) (tenant.Tenant, error)
	Exports(ctx context.Context, tenantID string, after, limit int) (links []audit.Link, next int, err error)
	ExportHead(ctx context.Context, tenantID string) (head audit.Link, begun string, err error)
}

type presigner interface {
	PresignGet(ctx context.Context, key string) (url string, err error)
}

type handler struct {
	store   store
	objects presigner
	cursors api.Cursors
	clock   clock.Clock
}

// head is the newest export of a tenant's chain.
type head struct {
	Sequence       int    `json:"sequence"`
	Day            string `json:"day"`
	ManifestSHA256 string `json:"manifest_sha256"`
}

// entry is an export as the table knows it, with where its parts are read.
type entry struct {
	head
	ManifestURL string `json:"manifest_url"`
	FileURL     string `json:"file_url"`
	ExpiresAt   string `json:"expires_at"`
}

// page is a page of the chain and its head as it is now.
type page struct {
	api.Page[entry]
	Head *head `json:"head"`
}

func newHead(l audit.Link) head { return head{l.Sequence, l.Day, l.SHA256} }

// handle lists a tenant's exports, the oldest first. The table names them, the
// bucket has them: who compares the two finds what is wrong.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	limit, err := r.Limit()
	if err != nil {
		return api.Response{}, err
	}
	place, err := h.cursors.Place(r)
	if err != nil {
		return api.Response{}, err
	}
	after := 0
	if place != "" {
		if after, err = strconv.Atoi(place); err != nil {
			return api.Response{}, err
		}
	}
	if _, err := h.store.Tenant(ctx, r.Path); err != nil {
		return api.Response{}, err
	}
	newest, _, err := h.store.ExportHead(ctx, r.Path) // before the list, which may be longer then, never shorter
	if err != nil {
		return api.Response{}, err
	}
	links, next, err := h.store.Exports(ctx, r.Path, after, limit)
	if err != nil {
		return api.Response{}, err
	}
	out := page{Page: api.Page[entry]{Data: []entry{}}}
	expires := h.clock.Now().Add(artifact.URLLife).UTC().Format(time.RFC3339)
	for _, l := range links {
		e := entry{head: newHead(l), ExpiresAt: expires}
		if e.ManifestURL, err = h.objects.PresignGet(ctx, artifact.AuditManifest(r.Path, l.Day)); err != nil {
			return api.Response{}, err
		}
		if e.FileURL, err = h.objects.PresignGet(ctx, artifact.AuditFile(r.Path, l.Day)); err != nil {
			return api.Response{}, err
		}
		out.Data = append(out.Data, e)
	}
	if newest.Sequence > 0 {
		n := newHead(newest)
		out.Head = &n
	}
	if next != 0 {
		out.NextCursor, out.HasMore = h.cursors.Next(r, strconv.Itoa(next)), true
	}
	return api.OK(out), nil
}
