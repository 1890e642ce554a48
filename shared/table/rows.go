package table

import (
	"context"
	"time"

	"outpost/shared/audit"
	"outpost/shared/ledger"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// How long rows live that expire, counted from when they are written. TTL is
// lazy, so code checks what matters itself.
const (
	idempotencyLife = 24 * time.Hour
	eventLife       = 30 * 24 * time.Hour
	endedKeyLife    = 90 * 24 * time.Hour // of a key that was revoked or has expired
)

// key is the primary key that every row starts with.
type key struct {
	PK, SK string
}

type taskRow struct {
	key
	GSI1PK, GSI1SK string
	Version        int64
	Task           task.Task
}

type runRow struct {
	key
	GSI2PK  string `dynamo:",omitempty"` // while in flight
	GSI2SK  string `dynamo:",omitempty"`
	Version int64
	Run     task.Run
}

// taskItem reads a task's and its runs' rows, which one query returns.
type taskItem struct {
	key
	Version int64
	Task    *task.Task
	Run     *task.Run
}

type promptRow struct {
	key
	Prompt string
}

type queueRow struct {
	key
	Run, Task, Agent string
	Priority         task.Priority
}

type loadRow struct {
	key
	GSI2PK                    string `dynamo:",omitempty"` // while something may be started
	GSI2SK                    string `dynamo:",omitempty"`
	Waiting, Running, Version int
	VirtualTime               float64
}

type meterRow struct {
	key
	Used     int
	Warnings []string `dynamo:",set,omitempty"` // that the tenant was given, as limit:percent
	TTL      int64
}

type idempotencyRow struct {
	key
	BodyHash  string
	Status    int
	Body      []byte
	ExpiresAt int64
	TTL       int64
}

type eventRow struct {
	key
	Events []task.Event
	TTL    int64
}

type usageRow struct {
	key
	Agent, Model                                 string
	Succeeded, Failed, TimedOut, Cancelled       int
	InputTokens, CachedInputTokens, OutputTokens int64
	CostUSD                                      float64
	Unpriced                                     int
	Milliseconds                                 int64
	TTL                                          int64
}

type rateRow struct {
	key
	Used int
	TTL  int64
}

type auditRow struct {
	key
	GSI1PK, GSI1SK string
	Event          audit.Event
	Count          int // of refusals that are one row
	TTL            int64
}

type ledgerRow struct {
	key
	Row ledger.Row
}

type tenantRow struct {
	key
	GSI1PK, GSI1SK string
	GSI2PK         string `dynamo:",omitempty"` // while there is something to do for a closed tenant
	GSI2SK         string `dynamo:",omitempty"`
	Tenant         tenant.Tenant
}

type keyRow struct {
	key
	GSI1PK, GSI1SK string
	ExpiresUnix    int64 // 0 for never
	Key            Key
	TTL            *int64 `dynamo:",omitempty"` // of keys that are over for long
}

// secretsRow is what is said of a tenant's secrets together.
type secretsRow struct {
	key
	Firsts     int64 // how often a first version was put
	Deposit    Deposit
	Lease      string // under which the deposit may be changed; empty while nobody may
	LeaseUntil int64  // in milliseconds
}

type secretRow struct {
	key
	Secret Sealed
}

type fleetRow struct {
	key
	VirtualTime float64
}

// newRunRow keeps the run in the in-flight index for as long as it is there.
func newRunRow(tenantID string, r task.Run, version int64) (runRow, error) {
	sk, err := runSK(r.ID)
	if err != nil {
		return runRow{}, err
	}
	row := runRow{key: key{tenantPK(tenantID), sk}, Version: version, Run: r}
	if r.State.InFlight() {
		row.GSI2PK, row.GSI2SK = inflightPK(r.ID), inflightSK(r.DueAt(), tenantID, r.ID)
	}
	return row, nil
}

func newTaskRow(tenantID string, tk task.Task, version int64) taskRow {
	tk.Runs = nil
	return taskRow{key: key{tenantPK(tenantID), taskSK(tk.ID)},
		GSI1PK: tenantPK(tenantID) + "#TASKS", GSI1SK: ulidOf(tk.ID), Version: version, Task: tk}
}

func newQueueRow(tenantID string, r task.Run) queueRow {
	return queueRow{key: key{tenantPK(tenantID), queueSK(r.Priority, r.Task, r.Number)}, Run: r.ID, Task: r.Task, Agent: r.Agent, Priority: r.Priority}
}

// allTenants is the partition of the index that lists every tenant.
const allTenants = "TENANTS"

// newTenantRow keeps a closed tenant in the index of those who wait for something.
func newTenantRow(tn tenant.Tenant) tenantRow {
	row := tenantRow{key: key{tenantPK(tn.ID), tenantSK}, GSI1PK: allTenants, GSI1SK: tn.ID, Tenant: tn}
	if due := tn.DueAt(); !due.IsZero() {
		row.GSI2PK, row.GSI2SK = closedPK, closedSK(due, tn.ID)
	}
	return row
}

// A tenant's keys are in the index in the order in which they were made, to the
// nanosecond: the digits are always nine, so that no time sorts before an earlier one.
const (
	secondOfKeys = "2006-01-02T15:04:05"
	orderOfKeys  = secondOfKeys + ".000000000Z"
)

func keysPK(tenantID string) string { return tenantPK(tenantID) + "#KEYS" }

func newKeyRow(k Key) keyRow {
	row := keyRow{key: key{keyPK(k.Hash), keySK}, GSI1PK: keysPK(k.Tenant),
		GSI1SK: k.CreatedAt.UTC().Format(orderOfKeys) + "#" + k.ID, Key: k}
	if !k.ExpiresAt.IsZero() {
		row.ExpiresUnix = k.ExpiresAt.Unix()
		row.TTL = forgotten(k.ExpiresAt)
	}
	if k.State == KeyRevoked {
		row.TTL = forgotten(k.RevokedAt)
	}
	return row
}

func forgotten(ended time.Time) *int64 {
	at := ended.Add(endedKeyLife).Unix()
	return &at
}

// get reads one row consistently.
func (t *Table) get(ctx context.Context, k key, row any) error {
	return read(t.items.Get("PK", k.PK).Range("SK", "EQ", k.SK).Consistent(true).One(ctx, row))
}
