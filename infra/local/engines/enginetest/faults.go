package enginetest

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Flaky is a transport that loses answers and makes transactions conflict, by a
// seeded chance.
type Flaky struct {
	random   *rand.Rand
	Lose     float64 // the engine acts and the answer is lost
	Conflict float64 // the transaction is refused as one that met another
	Lost     atomic.Int64

	mu sync.Mutex
}

// NewFlaky returns a Flaky with a seed.
func NewFlaky(seed uint64, lose, conflict float64) *Flaky {
	return &Flaky{random: rand.New(rand.NewPCG(seed, 1)), Lose: lose, Conflict: conflict}
}

// ErrLost is what is heard in place of an answer that was lost.
var ErrLost = errors.New("the answer was lost")

// RoundTrip carries one request to the engine, or not.
func (f *Flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	lose, conflict := f.random.Float64() < f.Lose, f.random.Float64() < f.Conflict
	f.mu.Unlock()
	if conflict && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".TransactWriteItems") {
		return Conflict(r), nil
	}
	res, err := Transport.RoundTrip(r)
	if err == nil && lose {
		f.Lost.Add(1)
		Drop(res)
		return nil, ErrLost
	}
	return res, err
}

// Conflict is DynamoDB's refusal of a transaction that met another. No engine on
// one machine makes one of itself.
func Conflict(r *http.Request) *http.Response {
	const body = `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",` +
		`"Message":"Transaction cancelled","CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"None"}]}`
	return &http.Response{StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// Drop throws an answer away. It is read to its end first: a connection that is
// given back with an unread answer may be closed while the next request has it.
func Drop(res *http.Response) {
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}

// Insistent is a client that repeats failed requests as in production, but
// without waiting.
func Insistent(client *dynamodb.Client) *dynamodb.Client {
	return dynamodb.New(client.Options(), func(o *dynamodb.Options) {
		o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			s.RateLimiter = noLimit{}
		})
	})
}

type noLimit struct{}

func (noLimit) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (noLimit) AddTokens(uint) error { return nil }
