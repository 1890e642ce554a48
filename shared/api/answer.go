package api

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/problem"
)

// render makes the answer of a refusal.
func render(p *problem.Problem, requestID string) Response {
	public := *p
	public.RequestID = requestID
	header := map[string]string{"Content-Type": "application/problem+json"}
	if p.RetryAfter > 0 {
		header["Retry-After"] = seconds(p.RetryAfter)
	}
	if q := p.Quota; q != nil {
		limitFields(header, runsPolicy, q.Limit, q.Limit-q.Used, 24*time.Hour, p.RetryAfter)
	}
	return Response{Status: p.Status, Header: header, Body: &public}
}

// seconds rounds up: who waits that long is not too early.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// write makes API Gateway's answer.
func write(res Response, requestID string) events.APIGatewayV2HTTPResponse {
	out := events.APIGatewayV2HTTPResponse{StatusCode: res.Status, Headers: map[string]string{
		"X-Request-Id": requestID, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}}
	switch body := res.Body.(type) {
	case nil:
	case []byte:
		if out.Body = string(body); !utf8.Valid(body) {
			out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
		}
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			return write(render(problem.From(err), requestID), requestID)
		}
		out.Body, out.Headers["Content-Type"] = string(encoded), "application/json"
	}
	for name, value := range res.Header {
		out.Headers[name] = value
	}
	return out
}

// OK is an answer of 200 with a JSON body.
func OK(body any) Response { return Response{Status: http.StatusOK, Body: body} }

// Accepted is an answer of 202 with a JSON body.
func Accepted(body any) Response { return Response{Status: http.StatusAccepted, Body: body} }

// Page is the body of a list.
type Page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor"`
	HasMore    bool    `json:"has_more"`
}

// EventPage is the body of a list of events. Its cursor is always there: a
// follower asks again with it.
type EventPage[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor"`
	HasMore    bool   `json:"has_more"`
	State      string `json:"state"`
}
