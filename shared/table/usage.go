package table

import (
	"context"
	"strings"
	"time"

	"github.com/guregu/dynamo/v2"

	"outpost/shared/ledger"
	"outpost/shared/task"
)

// usageLife is how long a day's usage and its meter are kept.
const usageLife = 400 * 24 * time.Hour

// usageOf is the write that adds a run, which ends now, to its day's usage. It
// belongs into the transaction that ends the run.
func (t *Table) usageOf(tenantID string, r task.Run) *dynamo.Update {
	s := ledger.Of(r)
	u := t.items.Update("PK", tenantPK(tenantID)).Range("SK", usageSK(r.EndedAt, r.Agent, r.Model)).
		Set("Agent", r.Agent).Set("Model", r.Model).Set("TTL", r.EndedAt.Add(usageLife).Unix())
	for _, c := range []struct {
		name string
		n    int64
	}{
		{"Succeeded", int64(s.Succeeded)}, {"Failed", int64(s.Failed)}, {"TimedOut", int64(s.TimedOut)}, {"Cancelled", int64(s.Cancelled)},
		{"InputTokens", s.Usage.InputTokens}, {"CachedInputTokens", s.Usage.CachedInputTokens}, {"OutputTokens", s.Usage.OutputTokens},
		{"Unpriced", int64(s.Unpriced)}, {"Milliseconds", s.Milliseconds},
	} {
		if c.n != 0 {
			u.Add(c.name, c.n)
		}
	}
	if s.CostUSD != 0 {
		u.Add("CostUSD", s.CostUSD)
	}
	return u
}

func (r usageRow) group() ledger.Group {
	day, _, _ := strings.Cut(strings.TrimPrefix(r.SK, "USAGE#"), "#")
	g := ledger.Group{Day: day, Agent: r.Agent, Model: r.Model}
	g.Sum = ledger.Sum{Succeeded: r.Succeeded, Failed: r.Failed, TimedOut: r.TimedOut, Cancelled: r.Cancelled,
		CostUSD: r.CostUSD, Unpriced: r.Unpriced, Milliseconds: r.Milliseconds}
	g.Sum.Usage.InputTokens, g.Sum.Usage.CachedInputTokens, g.Sum.Usage.OutputTokens = r.InputTokens, r.CachedInputTokens, r.OutputTokens
	return g
}

// Usage returns what a tenant's runs took that ended on the UTC days from one to
// another, both included, by day, agent and model.
func (t *Table) Usage(ctx context.Context, tenantID string, from, to time.Time) ([]ledger.Group, error) {
	var rows []usageRow
	err := t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.Between, usageSK(from, "", ""), usageSK(to, "~", "")).Consistent(true).All(ctx, &rows)
	groups := make([]ledger.Group, len(rows))
	for i, r := range rows {
		groups[i] = r.group()
	}
	return groups, read(err)
}

// Admitted returns how many runs were admitted on each UTC day from one to
// another, both included; days without any are not there.
func (t *Table) Admitted(ctx context.Context, tenantID string, from, to time.Time) (map[string]int, error) {
	var rows []meterRow
	err := t.items.Get("PK", tenantPK(tenantID)).Range("SK", dynamo.Between, meterSK(from), meterSK(to)).Consistent(true).All(ctx, &rows)
	days := map[string]int{}
	for _, r := range rows {
		days[strings.TrimPrefix(r.SK, "METER#")] = r.Used
	}
	return days, read(err)
}
