package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"outpost/shared/apikey"
	"outpost/shared/table"
)

// once is what the requests under an idempotency key have in common: the key, and
// the hash of the request, without its body's spaces and order of members. It is
// nil without a key.
func (r *Request) once() *table.Idempotency {
	sent := r.Header["idempotency-key"]
	if sent == "" {
		return nil
	}
	body := r.Body
	var v any
	if json.Unmarshal(body, &v) == nil {
		if canonical, err := json.Marshal(v); err == nil {
			body = canonical
		}
	}
	sum := sha256.Sum256(append([]byte(r.Route+"\n"+r.Path+"\n"), body...))
	i := &table.Idempotency{Key: sent, BodyHash: hex.EncodeToString(sum[:])}
	if r.Caller.Tenant == "" {
		i.Owner = Operator
	}
	return i
}

// Once is what is to be kept under the request's idempotency key, beside the
// change itself: the answer, as a repeat gets it. It is nil without a key.
func (r *Request) Once(status int, answer any) (*table.Idempotency, error) {
	i := r.once()
	if i == nil {
		return nil, nil
	}
	var err error
	i.Status = status
	i.Body, err = json.Marshal(answer)
	return i, err
}

// Answerer knows what was answered under idempotency keys.
type Answerer interface {
	Answered(ctx context.Context, owner, idempotencyKey, bodyHash string) error
}

// Earlier returns the first answer to a request that was refused now and may have
// been accepted before: what was accepted once is answered so again, whatever has
// changed since. Else it returns err.
func (r *Request) Earlier(ctx context.Context, store Answerer, err error) (*table.Replay, error) {
	var first *table.Replay
	if err == nil || errors.As(err, &first) {
		return first, nil
	}
	i := r.once()
	if i == nil || errors.Is(err, table.ErrIdempotencyMismatch) {
		return nil, err
	}
	owner := r.Caller.Tenant
	if i.Owner != "" {
		owner = i.Owner
	}
	if errors.As(store.Answered(ctx, owner, i.Key, i.BodyHash), &first) {
		return first, nil
	}
	return nil, err
}

// Replayed is a first answer once more, with a header of the route's own.
func Replayed(first *table.Replay, header map[string]string) Response {
	all := map[string]string{"Idempotent-Replayed": "true"}
	maps.Copy(all, header)
	return Response{Status: first.Status, Body: json.RawMessage(first.Body), Header: all}
}

// Kept is an answer that shows an API key, as it is kept: without the key, which
// is made again of its nonce.
type Kept[T any] struct {
	Mode   apikey.Mode `json:"mode"`
	Nonce  []byte      `json:"nonce"`
	Answer T           `json:"answer"`
}

// KeyOf reads a kept answer and makes its key again.
func KeyOf[T any](first *table.Replay, issuer *apikey.Issuer) (answer T, key string, err error) {
	var kept Kept[T]
	if err := json.Unmarshal(first.Body, &kept); err != nil {
		return answer, "", fmt.Errorf("read a kept answer: %w", err)
	}
	issued, err := issuer.Again(kept.Mode, kept.Nonce)
	return kept.Answer, issued.Text, err
}
