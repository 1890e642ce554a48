package table_test

import (
	"io"
	"net/http"
	"strings"
)

// conflictAnswer is DynamoDB's refusal of a transaction that met another. No
// engine on one machine makes one of itself.
func conflictAnswer(r *http.Request) *http.Response {
	const body = `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",` +
		`"Message":"Transaction cancelled","CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"None"}]}`
	return &http.Response{StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// drop throws an answer away. It is read to its end first: a connection that is
// given back with an unread answer may be closed while the next request has it.
func drop(res *http.Response) {
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}
