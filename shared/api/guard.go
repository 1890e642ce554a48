package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"outpost/shared/audit"
	"outpost/shared/problem"
	"outpost/shared/table"
	"outpost/shared/topology"
)

// Guard stands before the routes of tenants and of the operator: it counts a
// tenant's requests and keeps what was refused to change.
type Guard interface {
	CountRequest(ctx context.Context, tenantID string, limit int) (table.RateWindow, error)
	NoteRefusal(ctx context.Context, tenantID, reason string, e audit.Event) error
}

// NoTenant is the Guard of an operator's route that is about no tenant: there is
// nobody whose requests it could count, and no trail that a refusal belongs to.
type NoTenant struct{}

// CountRequest is never called.
func (NoTenant) CountRequest(context.Context, string, int) (table.RateWindow, error) {
	return table.RateWindow{}, errors.New("the route is about no tenant")
}

// NoteRefusal is never called.
func (NoTenant) NoteRefusal(context.Context, string, string, audit.Event) error {
	return errors.New("the route is about no tenant")
}

// admitted counts the request of a tenant's key, whatever becomes of it, and
// refuses it when its rate is used up. That is apart from the quota of
// runs, which only a task takes from.
func (ep *endpoint) admitted(ctx context.Context, r *Request) error {
	if ep.Authorizer != topology.ByAPIKey {
		return nil
	}
	limits, err := r.Caller.Entitlement.Limits()
	if err != nil {
		return err
	}
	w, err := ep.guard.CountRequest(ctx, r.Caller.Tenant, limits.RequestsPerMinute)
	r.rate = &w
	if errors.Is(err, table.ErrRateLimited) {
		p := problem.New(problem.RateLimited, fmt.Sprintf("Your tenant, on the plan %s, may make %d requests a minute.", limits.Name, w.Limit))
		p.RetryAfter = w.Resets
		return p
	}
	return err
}

// note keeps a refused change in the trail of the tenant that it was about. A
// trail that cannot be written is logged: the refusal stands all the same.
func (ep *endpoint) note(ctx context.Context, r *Request, p *problem.Problem, at time.Time) {
	if ep.guard == nil || ep.Method == http.MethodGet || p.Status >= http.StatusInternalServerError {
		return
	}
	by := r.By(at, "request.refused", r.Path)
	of := r.Caller.Tenant
	if ep.Authorizer == topology.ByOperator && p.Code != problem.NotFound {
		of = r.Path // what is refused before the tenant was looked for may be kept for an id that is nobody's
	}
	if of == "" {
		return
	}
	by.Audit.Detail = fmt.Sprintf("%s: %s %s", p.Code, ep.Method, ep.Path)
	if err := ep.guard.NoteRefusal(ctx, of, string(p.Code), by.Audit); err != nil {
		slog.ErrorContext(ctx, "keep a refusal", "request", r.ID, "tenant", of, "error", err)
	}
}

// The policies of the RateLimit fields.
const (
	requestsPolicy = "requests"
	runsPolicy     = "runs-per-day"
)

// limitFields adds a limit to the RateLimit fields of an answer, as
// draft-ietf-httpapi-ratelimit-headers has them: quota q in a window of w
// seconds, r left, t seconds to the reset.
func limitFields(header map[string]string, policy string, limit, left int, window, resets time.Duration) {
	add := func(name, item string) {
		if was := header[name]; was != "" {
			item = was + ", " + item
		}
		header[name] = item
	}
	add("RateLimit-Policy", `"`+policy+`";q=`+strconv.Itoa(limit)+";w="+seconds(window))
	add("RateLimit", `"`+policy+`";r=`+strconv.Itoa(max(0, left))+";t="+seconds(resets))
}
