package table_test

import (
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/plan"
)

// quotaInput is a call about the meter of a day; of no runs: to read it.
type quotaInput struct{ day, runs, limit int }

// quotaAnswer is how a call ended.
type quotaAnswer int

const (
	quotaUnknown quotaAnswer = iota // it may have been carried out
	quotaAdmitted
	quotaRefused
	quotaRead
)

type quotaOutput struct {
	answer quotaAnswer
	used   int // of a refusal and a reading: what the meter showed
}

// quotaModel is what a day's meter is: one number, of which each admission takes
// its runs if the limit leaves them. A state is the number of runs used.
func quotaModel() porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			days := map[int][]porcupine.Operation{}
			for _, op := range history {
				day := op.Input.(quotaInput).day
				days[day] = append(days[day], op)
			}
			var parts [][]porcupine.Operation
			for _, ops := range days {
				parts = append(parts, ops)
			}
			return parts
		},
		Init: func() []any { return []any{0} },
		Step: func(state, input, output any) []any {
			used, in, out := state.(int), input.(quotaInput), output.(quotaOutput)
			fits := used+in.runs <= in.limit
			switch out.answer {
			case quotaAdmitted:
				if fits {
					return []any{used + in.runs}
				}
			case quotaRefused:
				if !fits && out.used == used {
					return []any{used}
				}
			case quotaRead:
				if out.used == used {
					return []any{used}
				}
			case quotaUnknown:
				if fits {
					return []any{used, used + in.runs}
				}
				return []any{used}
			}
			return nil
		},
	}).ToModel()
}

// The checker must be able to fail: these are admissions as they must not be, on
// the same table, and it refuses the history of each.
func TestTheCheckerOfQuotasRefusesABrokenAdmission(t *testing.T) {
	plain := enginetest.Client(t, nil)
	name := enginetest.TableName(t, plain)
	unlimited := func(q *quotaRace, w *window) {
		a := q.admission(1)
		a.RunsPerDay = plan.Unlimited
		q.must(q.Admit(w.through(q.ctx), q.tenant, a))
	}
	one, admitted := quotaInput{start.Day(), 1, 10}, quotaOutput{answer: quotaAdmitted}
	for _, c := range []struct {
		name string
		play func(q *quotaRace)
	}{
		{"that reads, then writes", func(q *quotaRace) {
			var reading sync.WaitGroup
			reading.Add(submitters)
			all(submitters, func(i int) {
				used, err := q.DayMeter(q.ctx, q.tenant, start)
				reading.Done()
				reading.Wait() // all have read before one writes
				if w := (&window{}); err == nil && used < q.limit {
					unlimited(q, w)
					q.note(i, w, one, admitted)
				}
			})
		}},
		{"that counts a repeated submission twice", func(q *quotaRace) {
			w := &window{}
			unlimited(q, w) // its answer is lost
			unlimited(q, w)
			q.note(0, w, one, admitted)
			q.look(0)
		}},
		{"that refuses what fits", func(q *quotaRace) {
			w := &window{}
			_, err := q.DayMeter(w.through(q.ctx), q.tenant, start)
			q.must(err)
			q.note(0, w, one, quotaOutput{quotaRefused, 0})
		}},
	} {
		q := newQuotaRace(t, plain, name, 0, 10)
		q.line.faults.Lose, q.line.faults.Conflict = 0, 0
		c.play(q)
		if verdict := porcupine.CheckOperationsTimeout(quotaModel(), q.history, 5*time.Minute); verdict != porcupine.Illegal {
			t.Errorf("an admission %s: porcupine says %s", c.name, verdict)
		}
	}
}
