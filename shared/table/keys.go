package table

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"outpost/shared/id"
	"outpost/shared/task"
)

// shards spreads an index over partitions.
const shards = 4

func shard(s string) int {
	h := fnv.New32a()
	h.Write([]byte(s))
	return int(h.Sum32() % shards)
}

func tenantPK(tenant string) string { return "T#" + tenant }

const (
	tenantSK = "TENANT"
	loadSK   = "LOAD"
	keySK    = "KEY"
	fleetKey = "FLEET"
)

// ulidOf cuts the prefix off an id that this package's callers have checked.
func ulidOf(s string) string { return s[strings.IndexByte(s, '_')+1:] }

func taskSK(taskID string) string   { return "TASK#" + ulidOf(taskID) }
func promptSK(taskID string) string { return "PROMPT#" + ulidOf(taskID) }

// runSK returns the sort key of a run; an id that is none is not found.
func runSK(runID string) (string, error) {
	taskID, n, err := id.SplitRun(runID)
	if err != nil {
		return "", ErrNotFound
	}
	return fmt.Sprintf("%s#RUN#%02d", taskSK(taskID), n), nil
}

func queueSK(p task.Priority, taskID string, n int) string {
	return fmt.Sprintf("QUEUE#%d#%s#%02d", p.Rank(), ulidOf(taskID), n)
}

func eventSK(taskID string, n int, seq int64) string {
	return fmt.Sprintf("EVENT#%s#%02d#%020d", ulidOf(taskID), n, seq)
}

func meterSK(day time.Time) string { return "METER#" + day.UTC().Format(time.DateOnly) }

func usageSK(day time.Time, agent, model string) string {
	return "USAGE#" + day.UTC().Format(time.DateOnly) + "#" + agent + "#" + model
}

func rateSK(begins time.Time) string { return "RATE#" + begins.UTC().Format("2006-01-02T15:04") }

func keyPK(hash string) string { return "KEY#" + hash }

func waitingPK(tenant string) string { return waitingShard(shard(tenant)) }
func waitingShard(n int) string      { return fmt.Sprintf("WAITING#%d", n) }
func waitingSK(tenant string, virtual float64) string {
	return fmt.Sprintf("%020.6f#%s", virtual, tenant)
}

func inflightPK(runID string) string { return inflightShard(shard(runID)) }
func inflightShard(n int) string     { return fmt.Sprintf("INFLIGHT#%d", n) }
func inflightSK(due time.Time, tenant, runID string) string {
	return fmt.Sprintf("%015d#%s#%s", due.UnixMilli(), tenant, runID)
}

// closedPK is the partition of the index that lists closed tenants by when there is
// something to do for them.
const closedPK = "CLOSED"

func closedSK(due time.Time, tenant string) string {
	return fmt.Sprintf("%015d#%s", due.UnixMilli(), tenant)
}

// secretsSK begins the keys of a tenant's secrets too.
const secretsSK = "SECRET"

func secretSK(name string, version int) string { return fmt.Sprintf("SECRET#%s#%010d", name, version) }
