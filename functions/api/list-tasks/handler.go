package main

import (
	"context"
	"slices"
	"time"

	"outpost/shared/api"
	"outpost/shared/table"
	"outpost/shared/task"
)

type store interface {
	Tasks(ctx context.Context, tenantID string, r table.TaskRange, limit int) (tasks []task.Task, next string, err error)
}

type handler struct {
	store   store
	cursors api.Cursors
}

const maxLooked = 1000 // tasks that one page looks at

// handle reads until the page is full or 1,000 tasks were looked at; the cursor
// is the last task looked at.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	f, err := newFilter(r)
	if err != nil {
		return api.Response{}, err
	}
	after, err := h.cursors.Place(r)
	if err != nil {
		return api.Response{}, err
	}
	limit, err := r.Limit()
	if err != nil {
		return api.Response{}, err
	}
	batch := 100
	if f.everything() {
		batch = limit
	}
	page := api.Page[api.Summary]{Data: []api.Summary{}}
	for looked := 0; looked < maxLooked; {
		tasks, next, err := h.store.Tasks(ctx, r.Caller.Tenant, table.TaskRange{After: after, Since: f.since, Until: f.until}, min(batch, maxLooked-looked))
		if err != nil {
			return api.Response{}, err
		}
		for i, tk := range tasks {
			looked++
			after = tk.ID
			if f.matches(tk) {
				page.Data = append(page.Data, api.ViewSummary(tk))
			}
			if len(page.Data) == limit {
				page.HasMore = next != "" || i < len(tasks)-1
				return h.page(r, page, after), nil
			}
		}
		if next == "" {
			return h.page(r, page, ""), nil
		}
		page.HasMore = true
	}
	return h.page(r, page, after), nil
}

// filter is what the caller wants to see.
type filter struct {
	state, agent, repo, tag string
	since, until            time.Time
}

func newFilter(r *api.Request) (f filter, err error) {
	q := r.Query
	f = filter{state: q["state"], agent: q["agent"], repo: q["repo"], tag: q["tag"]}
	for name, at := range map[string]*time.Time{"since": &f.since, "until": &f.until} {
		if *at, err = r.Time(name); err != nil {
			return f, err
		}
	}
	return f, nil
}

// everything tells whether each task passes, so that no page reads more tasks
// than it shows.
func (f filter) everything() bool {
	return f.state == "" && f.agent == "" && f.repo == "" && f.tag == ""
}

func (f filter) matches(t task.Task) bool {
	return (f.state == "" || string(t.State) == f.state) && (f.agent == "" || slices.Contains(t.Agents, f.agent)) && (f.repo == "" || t.Spec.Repo == f.repo) &&
		(f.tag == "" || slices.Contains(t.Spec.Tags, f.tag)) &&
		(f.since.IsZero() || !t.CreatedAt.Before(f.since)) && (f.until.IsZero() || t.CreatedAt.Before(f.until))
}

// page ends a page with the cursor behind a task.
func (h handler) page(r *api.Request, p api.Page[api.Summary], after string) api.Response {
	if p.HasMore && after != "" {
		p.NextCursor = h.cursors.Next(r, after)
	} else {
		p.HasMore = false
	}
	return api.OK(p)
}
