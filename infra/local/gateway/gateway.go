// Package gateway is an API Gateway HTTP API on one machine: routes from the
// topology, Lambda proxy integrations and authorizers with payload format 2.0
// and simple responses, API Gateway's own fixed answers, and its limits.
package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/topology"
)

// API Gateway's limits.
const (
	maxBody            = 10 << 20
	integrationTimeout = 30 * time.Second
)

// Invoker calls a Lambda function by name.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) ([]byte, error)
}

// Gateway serves the topology's routes.
type Gateway struct {
	mux     *http.ServeMux
	invoker Invoker
	clock   clock.Clock

	mu    sync.Mutex
	cache map[[sha256.Size]byte]decision // by identity source, never the key itself
}

type decision struct {
	allowed bool
	context map[string]any
	until   time.Time
}

// New returns a gateway over the topology's routes.
func New(inv Invoker, c clock.Clock) *Gateway {
	g := &Gateway{mux: http.NewServeMux(), invoker: inv, clock: c, cache: map[[sha256.Size]byte]decision{}}
	for _, r := range topology.Routes {
		g.mux.HandleFunc(r.Method+" "+r.Path, func(w http.ResponseWriter, req *http.Request) { g.serve(w, req, r) })
	}
	return g
}

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := g.mux.Handler(r); pattern == "" {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	g.mux.ServeHTTP(w, r)
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, route topology.Route) {
	ctx, cancel := context.WithTimeout(r.Context(), integrationTimeout)
	defer cancel()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	if err != nil {
		return // the caller has gone
	}
	req := g.request(r, route, body)
	if route.Authorizer != topology.Open {
		d, err := g.authorize(ctx, route, req)
		switch {
		case errors.Is(err, errNoIdentity):
			refuse(w, http.StatusUnauthorized, "Unauthorized")
			return
		case err != nil:
			refuse(w, http.StatusInternalServerError, "Internal Server Error")
			return
		case !d.allowed:
			refuse(w, http.StatusForbidden, "Forbidden")
			return
		}
		req.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: d.context}
	}
	payload, err := json.Marshal(req)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	answer, err := g.invoker.Invoke(ctx, route.Function, payload)
	if errors.Is(err, context.DeadlineExceeded) {
		refuse(w, http.StatusServiceUnavailable, "Service Unavailable")
		return
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	respond(w, req.RequestContext.RequestID, answer)
}

var errNoIdentity = errors.New("no identity source")

// authorize asks the route's authorizer, or its cached answer. Only answers
// about API keys are cached, each for all routes, as API Gateway does.
func (g *Gateway) authorize(ctx context.Context, route topology.Route, req events.APIGatewayV2HTTPRequest) (decision, error) {
	identity := req.Headers["authorization"]
	if identity == "" {
		return decision{}, errNoIdentity
	}
	key := sha256.Sum256([]byte(identity))
	cached := route.Authorizer == topology.ByAPIKey
	if cached {
		g.mu.Lock()
		d, ok := g.cache[key]
		g.mu.Unlock()
		if ok && g.clock.Now().Before(d.until) {
			return d, nil
		}
	}
	ask := events.APIGatewayV2CustomAuthorizerV2Request{Version: "2.0", Type: "REQUEST",
		RouteArn:       "arn:aws:execute-api:us-east-1:000000000000:local/$default/" + req.RequestContext.HTTP.Method + req.RawPath,
		IdentitySource: []string{identity}, RouteKey: req.RouteKey, RawPath: req.RawPath, RawQueryString: req.RawQueryString,
		Cookies: req.Cookies, Headers: req.Headers, QueryStringParameters: req.QueryStringParameters,
		RequestContext: req.RequestContext, PathParameters: req.PathParameters}
	payload, err := json.Marshal(ask)
	if err != nil {
		return decision{}, err
	}
	answer, err := g.invoker.Invoke(ctx, string(route.Authorizer), payload)
	if err != nil {
		return decision{}, err
	}
	var simple events.APIGatewayV2CustomAuthorizerSimpleResponse
	if err := json.Unmarshal(answer, &simple); err != nil {
		return decision{}, err
	}
	d := decision{simple.IsAuthorized, simple.Context, g.clock.Now().Add(topology.CacheTime)}
	if cached {
		g.mu.Lock()
		g.cache[key] = d
		g.mu.Unlock()
	}
	return d, nil
}

// request is the event of payload format 2.0.
func (g *Gateway) request(r *http.Request, route topology.Route, body []byte) events.APIGatewayV2HTTPRequest {
	now := g.clock.Now()
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	req := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: route.Method + " " + route.Path, RawPath: r.URL.EscapedPath(), RawQueryString: r.URL.RawQuery,
		Headers: map[string]string{"host": r.Host},
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: route.Method + " " + route.Path, AccountID: "000000000000", APIID: "local", Stage: "$default",
			RequestID: id.NewULID(now), DomainName: r.Host, Time: now.Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: r.Method, Path: r.URL.Path, Protocol: r.Proto,
				SourceIP: ip, UserAgent: r.UserAgent()},
		},
	}
	for name, values := range r.Header {
		if name = strings.ToLower(name); name == "cookie" {
			for _, v := range values {
				req.Cookies = append(req.Cookies, strings.Split(v, "; ")...)
			}
		} else {
			req.Headers[name] = strings.Join(values, ",")
		}
	}
	for name, values := range r.URL.Query() {
		if req.QueryStringParameters == nil {
			req.QueryStringParameters = map[string]string{}
		}
		req.QueryStringParameters[name] = strings.Join(values, ",")
	}
	for _, part := range strings.Split(route.Path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			if req.PathParameters == nil {
				req.PathParameters = map[string]string{}
			}
			req.PathParameters[name] = r.PathValue(name)
		}
	}
	if req.Body = string(body); !utf8.Valid(body) {
		req.Body, req.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return req
}

// respond writes a proxy integration's answer. One without a statusCode is a
// body, as in payload format 2.0.
func respond(w http.ResponseWriter, requestID string, answer []byte) {
	var res events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(answer, &res); err != nil || res.StatusCode == 0 {
		res = events.APIGatewayV2HTTPResponse{StatusCode: http.StatusOK, Body: string(answer),
			Headers: map[string]string{"content-type": "application/json"}}
	}
	body := []byte(res.Body)
	if res.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(res.Body)
		if err != nil {
			refuse(w, http.StatusInternalServerError, "Internal Server Error")
			return
		}
		body = decoded
	}
	for k, v := range res.Headers {
		w.Header().Set(k, v)
	}
	for _, c := range res.Cookies {
		w.Header().Add("Set-Cookie", c)
	}
	w.Header().Set("Apigw-Requestid", requestID)
	w.WriteHeader(res.StatusCode)
	_, _ = w.Write(body)
}

// refuse writes one of API Gateway's own answers.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}
