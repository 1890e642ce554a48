package table_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/guarantee"
	"outpost/shared/clock"
	"outpost/shared/table"
)

const submitters = 64

// TestGuaranteeTheDaysQuotaIsExact lets 64 submitters ask for tasks of one to
// four runs until they are refused a single one; in between they read the meter.
// 5 % of all answers are lost: with every second seed the client tries again, as
// in production, with the others the submitter is left in the dark and asks for
// something else. The day ends in the middle: with a third of the seeds at some
// admission, with the others when the first submitter is refused a single run
// and 63 are still asking. Whoever was told what, the meter, the tasks and the
// tenant's load agree, a full day holds its limit, and porcupine finds an order
// in which each answer is true. (At most eight requests are on their way to the
// engine at once, which keeps the search short; the same checker refuses three
// broken admissions, one that reads before it writes among them.)
func TestGuaranteeTheDaysQuotaIsExact(t *testing.T) {
	g := guarantee.For(t, "tenancy-1", "A day's quota admits its limit exactly, and no answer about it contradicts another.")
	seeds, most := g.Pick(100, 5), g.Pick(1000, 40)
	plain := enginetest.Client(t, nil)
	name := enginetest.TableName(t, plain)
	var admitted, answers, unknown, lost, full, accepted int
	for seed := range seeds {
		q := newQuotaRace(t, plain, name, uint64(seed), int(math.Round(math.Pow(float64(most), float64(seed)/float64(seeds-1)))))
		all(submitters, q.submitter)
		runs, days, fine := q.judge()
		admitted += runs
		full += days
		if fine {
			accepted++
		}
		answers += len(q.history)
		unknown += q.unknown
		lost += int(q.line.faults.Lost.Load())
	}
	if lost == 0 || unknown == 0 {
		t.Errorf("%d answers were lost and %d outcomes unknown: the test tests nothing", lost, unknown)
	}
	g.Figure("seeds", fmt.Sprintf("0 to %d, each with a limit of its own from 1 to %d runs a day", seeds-1, most))
	g.Figure("submitters at once", submitters)
	g.Figure("runs admitted", fmt.Sprintf("%d, on %d days, of which %d were filled and held their limit exactly", admitted, 2*seeds, full))
	g.Figure("answers of the engine lost", lost)
	g.Figure("histories that porcupine accepts", fmt.Sprintf("%d of %d, of two days each: %d calls, the outcome of %d unknown to the caller", accepted, seeds, answers, unknown))
}

// quotaRace is one tenant's two days.
type quotaRace struct {
	*bench        // loses answers
	clear  *bench // loses none
	line   *line
	seed   uint64
	limit  int   // runs a day
	turn   int64 // the admission with which the first day ends; 0: it ends when it is full
	oks    atomic.Int64
	over   sync.Once

	mu      sync.Mutex
	history []porcupine.Operation
	unknown int
}

func newQuotaRace(t *testing.T, plain *dynamodb.Client, name string, seed uint64, limit int) *quotaRace {
	c := clock.NewManual(start)
	q := &quotaRace{seed: seed, limit: limit, line: newLine(enginetest.NewFlaky(seed, 0.05, 0.02))}
	if seed%3 == 1 {
		q.turn = 1 + int64(rand.New(rand.NewPCG(seed, 5)).IntN(limit))
	}
	q.clear = benchOn(t, table.New(plain, name, c), c)
	client := enginetest.Client(t, q.line)
	if seed%2 == 1 {
		client = enginetest.Insistent(client)
	}
	seen := *q.clear
	seen.Table = table.New(client, name, c)
	q.bench = &seen
	return q
}

// submitter asks until the second day refuses it a single run.
func (q *quotaRace) submitter(i int) {
	random := rand.New(rand.NewPCG(q.seed, uint64(1000+i)))
	for {
		if random.IntN(4) == 0 {
			q.look(i)
		}
		if q.submit(i, 1+random.IntN(4)) != quotaRefused {
			continue
		}
		if day := q.clock.Now(); q.submit(i, 1) == quotaRefused {
			if day.Day() != start.Day() {
				return
			}
			q.endDay() // whoever comes first
		}
	}
}

// endDay moves the clock past midnight, once.
func (q *quotaRace) endDay() { q.over.Do(func() { q.clock.Advance(13 * time.Hour) }) }

// submit admits a task of n runs and notes what it was told.
func (q *quotaRace) submit(i, n int) quotaAnswer {
	a := q.admission(n)
	a.RunsPerDay = q.limit
	w := &window{}
	err := q.Admit(w.through(q.ctx), q.tenant, a)
	out := quotaOutput{answer: quotaUnknown}
	var refused *table.QuotaError
	switch {
	case err == nil:
		out.answer = quotaAdmitted
		if q.oks.Add(1) == q.turn {
			q.endDay()
		}
	case errors.As(err, &refused):
		out = quotaOutput{quotaRefused, refused.Used}
		if refused.Limit != q.limit || refused.Wanted != n || !refused.ResetsAt.Equal(a.Task.CreatedAt.Truncate(24*time.Hour).Add(24*time.Hour)) {
			q.t.Errorf("refused with %+v", refused)
		}
	}
	q.note(i, w, quotaInput{a.Task.CreatedAt.Day(), n, q.limit}, out)
	return out.answer
}

// look reads the meter of today.
func (q *quotaRace) look(i int) {
	day := q.clock.Now()
	w := &window{}
	if used, err := q.DayMeter(w.through(q.ctx), q.tenant, day); err == nil {
		q.note(i, w, quotaInput{day: day.Day()}, quotaOutput{quotaRead, used})
	}
}

// note adds a call to the history, at the time when it took effect if it did:
// an admission with its transaction, anything else with its reading of the meter.
func (q *quotaRace) note(i int, w *window, in quotaInput, out quotaOutput) {
	operation := "GetItem"
	if out.answer == quotaAdmitted || out.answer == quotaUnknown {
		operation = "TransactWriteItems"
	}
	from, to, ok := w.of(operation)
	if !ok && out.answer == quotaUnknown {
		return // the engine never saw it
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if out.answer == quotaUnknown {
		q.unknown++
	}
	q.history = append(q.history, porcupine.Operation{ClientId: i, Input: in, Output: out, Call: int64(from), Return: int64(to)})
}

// judge holds what is stored against what was told, and returns the runs that
// were admitted, the days that held their limit to the full, and whether the
// history is one of a meter.
func (q *quotaRace) judge() (admitted, full int, fine bool) {
	q.t.Helper()
	b := q.clear
	stored := map[int]int{} // runs by day
	for after := ""; ; {
		tasks, next, err := b.Tasks(b.ctx, b.tenant, table.TaskRange{After: after}, 1000)
		b.must(err)
		for _, tk := range tasks {
			stored[tk.CreatedAt.Day()] += tk.Tally.Total
		}
		if after = next; next == "" {
			break
		}
	}
	for i, day := range []time.Time{start, start.Add(24 * time.Hour)} {
		used, err := b.DayMeter(b.ctx, b.tenant, day)
		b.must(err)
		told, dark := 0, 0
		for _, op := range q.history {
			if in := op.Input.(quotaInput); in.day == day.Day() {
				switch op.Output.(quotaOutput).answer {
				case quotaAdmitted:
					told += in.runs
				case quotaUnknown:
					dark += in.runs
				}
			}
		}
		filled := i == 1 || q.turn == 0
		if used > q.limit || (filled && used != q.limit) || used != stored[day.Day()] || used < told || used > told+dark {
			q.t.Errorf("seed %d, day %d: the limit is %d, the meter %d, %d runs are stored, %d were admitted and %d maybe",
				q.seed, i+1, q.limit, used, stored[day.Day()], told, dark)
		}
		if used == q.limit {
			full++
		}
		admitted += used
	}
	s, err := b.Standing(b.ctx, b.tenant)
	b.must(err)
	if s.Load.Waiting != admitted {
		q.t.Errorf("seed %d: %d runs wait, %d were admitted", q.seed, s.Load.Waiting, admitted)
	}
	verdict := porcupine.CheckOperationsTimeout(quotaModel(), q.history, 5*time.Minute)
	if verdict != porcupine.Ok {
		q.t.Errorf("seed %d: porcupine says %s of %d calls", q.seed, verdict, len(q.history))
	}
	return admitted, full, verdict == porcupine.Ok
}
