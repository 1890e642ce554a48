package api

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
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
		header["Retry-After"] = strconv.Itoa(max(1, int(p.RetryAfter.Seconds())))
	}
	if q := p.Quota; q != nil {
		// draft-ietf-httpapi-ratelimit-headers: quota q in a window of w seconds, r left, t seconds to the reset.
		header["RateLimit-Policy"] = `"runs-per-day";q=` + strconv.Itoa(q.Limit) + ";w=86400"
		header["RateLimit"] = `"runs-per-day";r=` + strconv.Itoa(max(0, q.Limit-q.Used)) + ";t=" + strconv.Itoa(int(p.RetryAfter.Seconds()))
	}
	return Response{Status: p.Status, Header: header, Body: &public}
}

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
