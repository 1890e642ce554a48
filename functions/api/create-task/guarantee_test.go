package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/guarantee"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
)

const tries = 20

// TestGuaranteeAnIdempotencyKeyIsOneTask sends each of 1,000 keys in 20 requests
// at once, eight keys at a time. 5 % of the engine's answers are lost on their
// way to the function, which with every second request has a client that asks
// again and with the others fails; and 5 % of the function's answers are lost on
// their way to the caller, who then asks again, as after each answer that says
// that it may be retried. With every tenth key the requests have one of two
// bodies, and the first accepted wins. At the end there is one task a key, all
// who sent its body were answered the same to the byte, and who sent another
// body was refused.
func TestGuaranteeAnIdempotencyKeyIsOneTask(t *testing.T) {
	g := guarantee.For(t, "tenancy-4", "A submission repeated under its Idempotency-Key is one task with one answer, however often and whatever is lost.")
	keys := g.Pick(1000, 20)
	c := clock.NewManual(settlementtest.Start)
	plain := enginetest.Client(t, nil)
	name := enginetest.TableName(t, plain)
	w := apitest.New(t, table.New(plain, name, c), c, "enterprise")
	w.SetSecrets(w.Caller)
	faults := enginetest.NewFlaky(4, 0.05, 0.02)
	lossy := enginetest.Client(t, faults)
	s := &submissions{keys: make([]key, keys), failing: on(t, w, table.New(lossy, name, c)), insisting: on(t, w, table.New(enginetest.Insistent(lossy), name, c))}

	for from := 0; from < keys; from += 8 {
		var group sync.WaitGroup
		for k := from; k < min(from+8, keys); k++ {
			for i := range tries {
				group.Go(func() { s.try(t, k, i) })
			}
		}
		group.Wait()
	}
	for k := range s.keys {
		s.judge(t, k)
		on(t, w, w.Table).post(body(map[string]any{"prompt": "Something else."}), "Idempotency-Key", keyName(k)).
			Refused(t, problem.IdempotencyMismatch, "Idempotency-Key")
	}

	tasks := 0
	for after := ""; ; {
		page, next, err := w.Tasks(t.Context(), w.Tenant, table.TaskRange{After: after}, 1000)
		w.Must(err)
		if tasks += len(page); next == "" {
			break
		}
		after = next
	}
	used, err := w.DayMeter(t.Context(), w.Tenant, c.Now())
	w.Must(err)
	audited := 0
	for part := (table.AuditRange{Action: "task.create"}); ; {
		trail, next, err := w.AuditEvents(t.Context(), w.Tenant, part, 1000)
		w.Must(err)
		audited += len(trail)
		if part.After = next; next == "" {
			break
		}
	}
	if tasks != keys || used != keys || w.Load().Waiting != keys || audited != keys {
		t.Errorf("%d keys made %d tasks, %d runs metered, %d waiting, %d audited", keys, tasks, used, w.Load().Waiting, audited)
	}
	if faults.Lost.Load() == 0 || s.failures == 0 || s.lost == 0 || s.mismatches == 0 {
		t.Errorf("%d and %d answers were lost, %d requests failed, %d were refused: the test tests nothing", faults.Lost.Load(), s.lost, s.failures, s.mismatches)
	}
	g.Figure("keys", keys)
	g.Figure("requests at once with each", tries)
	g.Figure("requests in all", s.requests)
	g.Figure("tasks", tasks)
	g.Figure("answers lost", fmt.Sprintf("%d of the engine, %d of the function", faults.Lost.Load(), s.lost))
	g.Figure("requests that failed and were repeated", s.failures)
	g.Figure("requests refused for another body", fmt.Sprintf("%d in the races, %d afterwards", s.mismatches, keys))
	g.Figure("seed", 4)
}

func keyName(k int) string { return fmt.Sprintf("key-%d", k) }

// key is what the tries of one key heard at last, by the body that they sent.
type key struct{ heard [2][]apitest.Answer }

// submissions sends the keys and notes what it hears.
type submissions struct {
	failing, insisting world // two functions on one table

	mu                                   sync.Mutex
	keys                                 []key
	requests, failures, lost, mismatches int
}

// try sends one request until it is answered for good.
func (s *submissions) try(t *testing.T, k, i int) {
	random := rand.New(rand.NewPCG(uint64(k), uint64(i)))
	variant := 0
	if k%10 == 0 {
		variant = i % 2
	}
	w := s.failing
	if i%4 < 2 {
		w = s.insisting
	}
	for range 100 {
		a := w.post(body(map[string]any{"prompt": fmt.Sprintf("Fix number %d, body %d.", k, variant)}), "Idempotency-Key", keyName(k))
		lost := random.Float64() < 0.05
		failed := a.Status >= 500
		s.mu.Lock()
		s.requests++
		switch {
		case failed:
			s.failures++
		case lost:
			s.lost++
		default:
			s.keys[k].heard[variant] = append(s.keys[k].heard[variant], a)
		}
		s.mu.Unlock()
		if !failed && !lost {
			return
		}
	}
	t.Errorf("key %d, request %d: a hundred tries failed", k, i)
}

// judge holds the answers of one key against each other.
func (s *submissions) judge(t *testing.T, k int) {
	t.Helper()
	firsts, winner := 0, -1
	for variant, answers := range s.keys[k].heard {
		for _, a := range answers {
			first := answers[0]
			if a.Status != first.Status {
				t.Errorf("key %d was answered %d %s and %d %s", k, first.Status, first.Body, a.Status, a.Body)
				continue
			}
			if a.Status != 202 {
				a.Refused(t, problem.IdempotencyMismatch, "Idempotency-Key")
				s.mismatches++
				continue
			}
			if winner = variant; string(a.Body) != string(first.Body) || a.Header["Location"] != first.Header["Location"] || !strings.Contains(string(a.Body), fmt.Sprintf("number %d, body %d.", k, variant)) {
				t.Errorf("key %d was answered %s and %s", k, first.Body, a.Body)
			}
			if a.Header["Idempotent-Replayed"] == "" {
				firsts++
			}
		}
	}
	if winner < 0 || firsts > 1 {
		t.Errorf("key %d: body %d won, %d answers were the first", k, winner, firsts)
	}
	if loser := s.keys[k].heard[(winner+1)%2]; winner >= 0 && len(loser) > 0 && loser[0].Status == 202 {
		t.Errorf("key %d: both bodies were accepted", k)
	}
}
