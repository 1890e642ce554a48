package table

import (
	"context"
	"errors"
	"time"
)

// RateWindow is the window of a tenant's rate limit that a request fell into.
type RateWindow struct {
	Limit, Left int           // requests
	Length      time.Duration // of the whole window
	Resets      time.Duration // until the next one begins
}

const (
	rateWindow = time.Minute
	rateLife   = 10 * time.Minute
)

// CountRequest counts a request of a tenant in this minute's window, by one
// conditional write. It returns ErrRateLimited, with the window, when limit
// requests were counted already.
func (t *Table) CountRequest(ctx context.Context, tenantID string, limit int) (RateWindow, error) {
	now := t.clock.Now()
	begins := now.UTC().Truncate(rateWindow)
	w := RateWindow{Limit: limit, Length: rateWindow, Resets: begins.Add(rateWindow).Sub(now)}
	var row rateRow
	err := t.again(ctx, func() error {
		err := t.items.Update("PK", tenantPK(tenantID)).Range("SK", rateSK(begins)).
			Add("Used", 1).Set("TTL", begins.Add(rateLife).Unix()).
			If("attribute_not_exists(Used) OR Used < ?", limit).Value(ctx, &row)
		return written(err, ErrRateLimited)
	})
	if errors.Is(err, ErrRateLimited) {
		return w, err
	}
	w.Left = max(0, limit-row.Used)
	return w, err
}
