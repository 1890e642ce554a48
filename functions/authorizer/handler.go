package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/api"
	"outpost/shared/apikey"
	"outpost/shared/clock"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

type store interface {
	KeyByHash(ctx context.Context, hash string) (table.Key, error)
	TouchKey(ctx context.Context, k table.Key) error
}

type handler struct {
	store  store
	hasher *apikey.Hasher
	clock  clock.Clock
}

type answer = events.APIGatewayV2CustomAuthorizerSimpleResponse

// usedWithin is how exactly the last use of a key is known: a note more often
// would cost more than it tells.
const usedWithin = time.Hour

// handle fails closed: whatever it does not know for sure is no. Garbage is
// refused by its checksum before anything is read; a key costs one read. A
// failing store is an error, which API Gateway answers with 500 and does not
// cache, so that no good key is locked out for a minute.
func (h handler) handle(ctx context.Context, e events.APIGatewayV2CustomAuthorizerV2Request) (answer, error) {
	if len(e.IdentitySource) != 1 {
		return answer{}, nil
	}
	scheme, key, _ := strings.Cut(e.IdentitySource[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || apikey.Check(key) != nil {
		return answer{}, nil
	}
	k, err := h.store.KeyByHash(ctx, h.hasher.Hash(key))
	if errors.Is(err, table.ErrNotFound) {
		return answer{}, nil
	}
	if err != nil {
		slog.ErrorContext(ctx, "read a key", "error", err)
		return answer{}, errors.New("the key cannot be checked now")
	}
	if k.State != table.KeyActive || k.Over(h.clock.Now()) || k.Entitlement.State == tenant.Closed {
		return answer{}, nil
	}
	if h.clock.Now().Sub(k.LastUsedAt) > usedWithin {
		if err := h.store.TouchKey(ctx, k); err != nil { // the next request notes it
			slog.ErrorContext(ctx, "note the use of a key", "key", k.ID, "error", err)
		}
	}
	context, err := api.CallerContext(tenant.Caller{Tenant: k.Tenant, KeyID: k.ID, KeyHash: k.Hash, Scopes: k.Scopes, Entitlement: k.Entitlement})
	if err != nil {
		return answer{}, err
	}
	return answer{IsAuthorized: true, Context: context}, nil
}
