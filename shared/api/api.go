// Package api is what every route of the HTTP API shares: it reads an API
// Gateway event (payload format 2.0) into a Request that the contract has
// checked, calls the route's handler, and renders its answer or its refusal. A
// caller's tenant comes from the authorizer's context and from nowhere else.
package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/clock"
	"outpost/shared/contract"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/table"
	"outpost/shared/tenant"
	"outpost/shared/token"
	"outpost/shared/topology"
)

// The limits of a request's body, in bytes. A worker's report may hold
// task.MaxEventBytes of text, which JSON's escapes make up to six times longer.
const (
	maxBody       = 256 << 10
	maxWorkerBody = 2 << 20
)

// Request is a request that the contract has checked.
type Request struct {
	ID      string        // req_…, for people to quote
	Caller  tenant.Caller // of routes for API keys
	Worker  token.Claims  // of routes for workers
	Address string        // of the caller
	Route   string        // as the topology has it: GET /v1/tasks/{id}
	Path    string        // the {id} or {name} of the path; empty without one
	Query   map[string]string
	Header  map[string]string // names in lower case
	Body    []byte            // JSON as it came, or empty

	document any               // the body as the contract checked it
	rate     *table.RateWindow // of the tenant, once it was counted
}

// Decode reads the body, which the contract has checked, into v: the very document
// that was checked, whose numbers may be written otherwise in the body itself.
func (r *Request) Decode(v any) error {
	if len(r.Body) == 0 {
		return nil
	}
	checked, err := json.Marshal(r.document)
	if err == nil {
		err = json.Unmarshal(checked, v)
	}
	if err != nil {
		return fmt.Errorf("decode a checked body: %w", err)
	}
	return nil
}

// Response is a handler's answer. Body is marshalled as JSON, unless it is
// bytes, which go out as they are.
type Response struct {
	Status int
	Header map[string]string
	Body   any
}

// Handler decides about one request. An error that is no *problem.Problem is
// answered as internal and logged.
type Handler func(ctx context.Context, r *Request) (Response, error)

// Lambda is a function as lambda.Start takes it.
type Lambda func(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)

// Route is a handler's place in the topology.
type Route struct {
	Method, Path string
	Handler      Handler
}

// Serve returns the function that serves routes behind a guard, which may be nil
// for routes of workers and for open ones alone. A route that the contract or the
// topology does not have is an error.
func Serve(guard Guard, routes ...Route) (Lambda, error) {
	byKey := map[string]*endpoint{}
	for _, r := range routes {
		op, err := contract.Load(r.Method, r.Path)
		if err != nil {
			return nil, err
		}
		key := r.Method + " " + r.Path
		for _, t := range topology.Routes {
			if t.Method == r.Method && t.Path == r.Path {
				byKey[key] = &endpoint{Route: t, op: op, handler: r.Handler, guard: guard}
			}
		}
		if byKey[key] == nil {
			return nil, fmt.Errorf("the topology has no route %s", key)
		}
		if a := byKey[key].Authorizer; guard == nil && (a == topology.ByAPIKey || a == topology.ByOperator) {
			return nil, fmt.Errorf("the route %s has no guard", key)
		}
	}
	return func(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		ep := byKey[e.RouteKey]
		if ep == nil {
			return events.APIGatewayV2HTTPResponse{}, fmt.Errorf("no handler for the route %q", e.RouteKey)
		}
		return ep.serve(ctx, e), nil
	}, nil
}

type endpoint struct {
	topology.Route
	op      *contract.Operation
	handler Handler
	guard   Guard
}

// serve answers one event and writes one line about it to the log.
func (ep *endpoint) serve(ctx context.Context, e events.APIGatewayV2HTTPRequest) events.APIGatewayV2HTTPResponse {
	began := clock.System.Now()
	r := &Request{ID: id.New(id.Request, began), Route: ep.Method + " " + ep.Path, Address: e.RequestContext.HTTP.SourceIP}
	res, err := ep.answer(ctx, r, e)
	line := []any{"request", r.ID, "route", r.Route, "tenant", r.Caller.Tenant + r.Worker.Tenant, "key", r.Caller.KeyID, "run", r.Worker.Run}
	if err != nil {
		p := problem.From(refusal(err))
		ep.note(ctx, r, p, began)
		res = render(p, r.ID)
		line = append(line, "code", p.Code)
		if p.Status >= http.StatusInternalServerError {
			line = append(line, "error", err.Error())
		}
	}
	out := write(res, r.ID)
	if w := r.rate; w != nil {
		limitFields(out.Headers, requestsPolicy, w.Limit, w.Left, w.Length, w.Resets)
	}
	slog.InfoContext(ctx, "request", append(line, "status", out.StatusCode, "ms", clock.System.Now().Sub(began).Milliseconds())...)
	return out
}

func (ep *endpoint) answer(ctx context.Context, r *Request, e events.APIGatewayV2HTTPRequest) (Response, error) {
	if err := ep.identify(r, e); err != nil {
		return Response{}, err
	}
	if err := ep.admitted(ctx, r); err != nil {
		return Response{}, err
	}
	if ep.Scope != "" && !r.Caller.May(ep.Scope) {
		return Response{}, problem.New(problem.InsufficientScope, "The key needs the scope "+ep.Scope+".")
	}
	if err := ep.parameters(r, e); err != nil {
		return Response{}, err
	}
	if err := ep.body(r, e); err != nil {
		return Response{}, err
	}
	return ep.handler(ctx, r)
}

// identify reads who calls from the authorizer's context, and fails closed.
func (ep *endpoint) identify(r *Request, e events.APIGatewayV2HTTPRequest) error {
	if ep.Authorizer == topology.Open {
		return nil
	}
	var context map[string]any
	if a := e.RequestContext.Authorizer; a != nil {
		context = a.Lambda
	}
	var err error
	switch ep.Authorizer {
	case topology.ByRunner:
		r.Worker, err = workerFrom(context, WorkerKind(ep.Method+" "+ep.Path))
	case topology.ByOperator:
		err = operatorFrom(context)
	default:
		r.Caller, err = callerFrom(context)
	}
	if err != nil {
		return problem.New(problem.Unauthorized, "The request has no caller.").Because(err)
	}
	return nil
}

// parameters checks path, query and headers. A malformed id is not found, like
// any other that nobody has.
func (ep *endpoint) parameters(r *Request, e events.APIGatewayV2HTTPRequest) error {
	r.Header = e.Headers
	r.Query = map[string]string{}
	var wrong []problem.Field
	known := map[string]bool{}
	for _, p := range ep.op.Parameters {
		switch p.In {
		case "path":
			r.Path = e.PathParameters[p.Name]
			if p.Check(r.Path) != "" {
				r.Path = "" // it may be anything, a secret in the wrong place: the trail does not keep it
				return problem.NotThere()
			}
		case "header":
			if v, ok := e.Headers[strings.ToLower(p.Name)]; ok {
				if words := p.Check(v); words != "" {
					wrong = append(wrong, problem.Field{Field: p.Name, Message: words})
				}
			}
		case "query":
			known[p.Name] = true
		}
	}
	values, err := url.ParseQuery(e.RawQueryString)
	if err != nil {
		return problem.New(problem.MalformedRequest, "The query string cannot be read.")
	}
	for name, vs := range values {
		switch {
		case !known[name]:
			wrong = append(wrong, problem.Field{Field: name, Message: "is not a parameter that exists"})
			continue
		case len(vs) > 1:
			wrong = append(wrong, problem.Field{Field: name, Message: "must be given once"})
			continue
		}
		for _, p := range ep.op.Parameters {
			if p.In != "query" || p.Name != name {
				continue
			}
			if words := p.Check(vs[0]); words != "" {
				wrong = append(wrong, problem.Field{Field: name, Message: words})
			}
		}
		r.Query[name] = vs[0]
	}
	if len(wrong) > 0 {
		return InvalidParameter(wrong...)
	}
	return nil
}

// InvalidParameter refuses parameters by their names.
func InvalidParameter(wrong ...problem.Field) error {
	return problem.New(problem.InvalidParameter, fmt.Sprintf("The parameter %s is not valid.", wrong[0].Field), wrong...)
}

// body reads and checks the body.
func (ep *endpoint) body(r *Request, e events.APIGatewayV2HTTPRequest) error {
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(e.Body)
		if err != nil {
			return problem.New(problem.MalformedRequest, "The body cannot be read.")
		}
		body = decoded
	}
	most := maxBody
	if ep.Authorizer == topology.ByRunner {
		most = maxWorkerBody
	}
	if len(body) > most {
		return problem.New(problem.BodyTooLarge, fmt.Sprintf("The body has more than %d KiB.", most>>10))
	}
	if len(body) == 0 && !ep.op.BodyRequired {
		return nil
	}
	if !ep.op.HasBody {
		return problem.New(problem.MalformedRequest, "This route takes no body.")
	}
	mediaType, _, _ := strings.Cut(e.Headers["content-type"], ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), "application/json") {
		return problem.New(problem.UnsupportedMedia, "Send the body with Content-Type: application/json.")
	}
	if !utf8.Valid(body) {
		return problem.New(problem.MalformedRequest, "The body is not UTF-8.")
	}
	document, err := parse(body)
	if err != nil {
		return problem.New(problem.MalformedRequest, "The body is not JSON: "+err.Error()+".")
	}
	if wrong := ep.op.CheckBody(document); len(wrong) > 0 {
		return Invalid(wrong...)
	}
	r.Body, r.document = body, document
	return nil
}

// Invalid refuses fields of a body by their JSON pointers.
func Invalid(wrong ...problem.Field) error {
	where := wrong[0].Field
	if where == "" {
		where = "The body"
	}
	return problem.New(problem.ValidationFailed, where+" "+wrong[0].Message+".", wrong...)
}

// refusal translates what the store says into what a caller may read.
func refusal(err error) error {
	switch {
	case errors.Is(err, table.ErrNotFound):
		return problem.NotThere().Because(err)
	case errors.Is(err, table.ErrKeyRevoked):
		return problem.New(problem.Unauthorized, "The API key is revoked or expired.").Because(err)
	case errors.Is(err, table.ErrIdempotencyMismatch):
		return problem.New(problem.IdempotencyMismatch, "This Idempotency-Key was used within 24 hours with another request.",
			problem.Field{Field: "Idempotency-Key", Message: "was used with another request"}).Because(err)
	case errors.Is(err, table.ErrTooManyKeys):
		return problem.New(problem.TooManyKeys, fmt.Sprintf("The tenant has %d keys that are good, which is as many as it can have: revoke one first.", table.MaxKeys)).Because(err)
	case errors.Is(err, table.ErrConflict), errors.Is(err, table.ErrLimitsChanged):
		p := problem.New(problem.Busy, "Too much happens to this at once; try again.").Because(err)
		p.RetryAfter = time.Second
		return p
	}
	return err
}
