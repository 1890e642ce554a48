// Package fairshare decides whose run starts next, by start-time fair queueing
// (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM 1996) over tenants:
// the one with the smallest virtual time starts, and a start costs it the
// inverse of its weight. It is pure: it reads no clock and no store.
package fairshare

import "container/heap"

// Tenant is what is known of a tenant that waits.
type Tenant struct {
	ID          string
	Weight      int     // of its plan, at least 1
	VirtualTime float64 // its last one, as stored
	Waiting     int
	Running     int
	Cap         int // runs in flight that it may have
}

// Pick is one start, in order.
type Pick struct {
	Tenant      string
	VirtualTime float64 // the tenant's new one
	Fleet       float64 // the fleet's new one, once this pick has started
}

// Decide picks up to free starts. A tenant that was idle begins at the fleet's
// virtual time, so that idleness saves nothing up; one that waits keeps its
// own. Ties go by id.
func Decide(tenants []Tenant, fleet float64, free int) []Pick {
	q := make(queue, 0, len(tenants))
	for _, t := range tenants {
		if room := min(t.Waiting, t.Cap-t.Running); room > 0 {
			q = append(q, entry{id: t.ID, start: max(t.VirtualTime, fleet), step: 1 / float64(max(t.Weight, 1)), room: room})
		}
	}
	heap.Init(&q)
	var picks []Pick
	for ; free > 0 && len(q) > 0; free-- {
		e := &q[0]
		fleet = max(fleet, e.start)
		e.start += e.step
		e.room--
		picks = append(picks, Pick{Tenant: e.id, VirtualTime: e.start, Fleet: fleet})
		if e.room == 0 {
			heap.Pop(&q)
		} else {
			heap.Fix(&q, 0)
		}
	}
	return picks
}

type entry struct {
	id          string
	start, step float64
	room        int
}

type queue []entry

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	if q[i].start != q[j].start {
		return q[i].start < q[j].start
	}
	return q[i].id < q[j].id
}
func (q *queue) Push(x any) { *q = append(*q, x.(entry)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
