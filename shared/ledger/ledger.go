// Package ledger says what a row of a tenant's append-only ledger of usage is.
package ledger

import (
	"time"

	"outpost/shared/agent"
)

// Row is the usage of one run over all its attempts, written once when it is
// settled.
type Row struct {
	ID      string // led_<ulid>
	Run     string
	Agent   string
	Model   string
	Usage   agent.Usage
	CostUSD *float64 // nil when the model's price is unknown
	At      time.Time
}
