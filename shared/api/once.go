package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"outpost/shared/apikey"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

// once is what the requests under an idempotency key have in common: the key, and
// the hash of the request, without its body's spaces and order of members, but with
// whom its answer is for alone. It is nil without a key.
func (r *Request) once(alone string) *table.Idempotency {
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
	asked := r.Route + "\n" + r.Path + "\n"
	if alone != "" {
		asked += alone + "\n"
	}
	sum := sha256.Sum256(append([]byte(asked), body...))
	i := &table.Idempotency{Key: sent, BodyHash: hex.EncodeToString(sum[:])}
	if r.Caller.Tenant == "" {
		i.Owner = Operator
	}
	return i
}

// Once is what is to be kept under the request's idempotency key, beside the
// change itself: the answer, as a repeat gets it. It is nil without a key.
func (r *Request) Once(status int, answer any) (*table.Idempotency, error) {
	return kept(r.once(""), status, answer)
}

// OnceKey is Once of an answer that shows an API key: a repeat gets it under the
// caller's own key alone, for another may not do what the key that is shown may.
func (r *Request) OnceKey(status int, answer any) (*table.Idempotency, error) {
	return kept(r.once(r.Caller.KeyID), status, answer)
}

func kept(i *table.Idempotency, status int, answer any) (*table.Idempotency, error) {
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
	i := r.once("")
	if i == nil || errors.Is(err, table.ErrIdempotencyMismatch) {
		return nil, err
	}
	if errors.As(store.Answered(ctx, cmp.Or(i.Owner, r.Caller.Tenant), i.Key, i.BodyHash), &first) {
		return first, nil
	}
	return nil, err
}

// KeyAnswerer is an Answerer that knows the keys of callers.
type KeyAnswerer interface {
	Answerer
	KeyByHash(ctx context.Context, hash string) (table.Key, error)
}

// EarlierKey is Earlier of answers that show an API key, which OnceKey keeps. A
// caller whose own key is over gets none: its key may have been found by somebody.
// But who rotated that very key may ask for the successor, though the old one goes
// on no longer: else a lost answer would leave its owner without any.
func (r *Request) EarlierKey(ctx context.Context, store KeyAnswerer, now time.Time, err error) (*table.Replay, error) {
	i := r.once(r.Caller.KeyID)
	if err == nil || i == nil {
		return nil, err
	}
	var first *table.Replay
	answered := err
	if !errors.As(err, &first) {
		answered = store.Answered(ctx, r.Caller.Tenant, i.Key, i.BodyHash)
	}
	if !errors.As(answered, &first) && !errors.Is(answered, table.ErrIdempotencyMismatch) {
		return nil, err
	}
	switch k, err := store.KeyByHash(ctx, r.Caller.KeyHash); {
	case err != nil && !errors.Is(err, table.ErrNotFound):
		return nil, err
	case err != nil, k.State != table.KeyActive, k.Entitlement.State == tenant.Closed, k.Over(now) && r.Path != k.ID:
		return nil, table.ErrKeyRevoked
	case first == nil:
		return nil, answered
	}
	return first, nil
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
