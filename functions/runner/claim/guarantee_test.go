package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/guarantee"
	"outpost/shared/api/apitest"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/runner"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/token"
)

// TestGuaranteeOneTicketOneWorker lets 50 workers claim with one ticket at once,
// each under a nonce of its own, of whom every fifth sends its request twice at
// once. 5 % of the engine's answers are lost on their way to the function, which
// in every second round has a client that asks again and in the others fails; and
// 5 % of the function's answers are lost on their way to the worker. Whoever hears
// nothing, or that it may be tried again, asks again. One nonce wins, whatever was
// lost; all of its answers are equal to the byte and hold the run's token and key;
// all others are refused as bound; the claim is in the audit trail once.
func TestGuaranteeOneTicketOneWorker(t *testing.T) {
	g := guarantee.For(t, "tenancy-7", "One ticket and 50 workers who claim with it: one wins.")
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil))) // the lost answers
	t.Cleanup(func() { slog.SetDefault(before) })
	const workers, lose = 50, 0.05
	rounds := g.Pick(100, 4)

	c := clock.NewManual(settlementtest.Start)
	plain, flaky := enginetest.Client(t, nil), enginetest.NewFlaky(7, lose, lose)
	name := enginetest.TableName(t, plain)
	w := world{World: apitest.New(t, table.New(plain, name, c), c, "pro")}
	signer, err := token.NewSigner([]byte("pppppppppppppppppppppppppppppppp"))
	w.Must(err)
	vault := sealed(w)
	const key = "the-key-of-the-provider"
	w.Must(vault.Put(t.Context(), w.Tenant, "ANTHROPIC_API_KEY", key, "", table.By{Audit: audit.Event{ID: id.New(id.Audit, c.Now()), At: c.Now()}}))
	var routes []*apitest.Route
	client := enginetest.Client(t, flaky)
	for _, store := range []*table.Table{table.New(enginetest.Insistent(client), name, c), table.New(client, name, c)} {
		h := handler{store: store, vault: vault, signer: signer, clock: c, timing: task.DefaultTiming, schemes: []string{"https"}}
		routes = append(routes, apitest.Serve(t, "POST", "/runner/v1/claim", h.handle))
	}

	random := rand.New(rand.NewPCG(7, 2))
	var mu sync.Mutex
	unheard := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64() < lose
	}
	var requests, lost, refused, wrong atomic.Int64
	for round := range rounds {
		r, route := w.launched(task.Spec{Repo: "https://github.com/acme/shop"}, "claude"), routes[round%2]
		var wait sync.WaitGroup
		var winners sync.Map // nonce: its answers' body
		claim := func(nonce string) {
			for {
				requests.Add(1)
				a := route.AsWorker(token.Claims{Kind: token.Ticket, Tenant: w.Tenant, Run: r.ID, Attempt: 1},
					apitest.Request{Body: fmt.Sprintf(`{"protocol":%d,"nonce":%q}`, runner.Version, nonce)})
				switch {
				case unheard():
					lost.Add(1)
				case a.Status == 200:
					if body, there := winners.LoadOrStore(nonce, string(a.Body)); there && body != string(a.Body) {
						t.Errorf("%s and then %s", body, a.Body)
						wrong.Add(1)
					}
					return
				case a.Status >= 500:
				default:
					a.Refused(t, problem.TicketBound, "")
					refused.Add(1)
					return
				}
			}
		}
		for i := range workers {
			nonce := fmt.Sprintf("%016x%016x", round, i)
			for range 1 + i%5/4 { // every fifth twice
				wait.Go(func() { claim(nonce) })
			}
		}
		wait.Wait()
		var won []string
		winners.Range(func(nonce, body any) bool {
			won = append(won, nonce.(string))
			claim(nonce.(string)) // and once more, when all is over
			var got runner.ClaimResponse
			apitest.Answer{Status: 200, Body: []byte(body.(string))}.Into(t, 200, &got)
			claims, err := signer.Verify(token.Run, got.RunToken, c.Now())
			if err != nil || claims.Nonce != nonce || claims.Run != r.ID || got.Provider.Key != key {
				t.Errorf("the winner got %+v, %v", claims, err)
			}
			return true
		})
		if len(won) != 1 || w.Read(r.ID).Attempt.Nonce != won[0] {
			wrong.Add(1)
			t.Errorf("round %d: %d won, bound is %s", round, len(won), w.Read(r.ID).Attempt.Nonce)
		}
	}
	trail, next := map[string]int{}, ""
	for {
		page, more, err := w.AuditEvents(t.Context(), w.Tenant, table.AuditRange{Action: "run.claim", After: next}, 100)
		w.Must(err)
		for _, e := range page {
			trail[e.Target]++
		}
		if next = more; next == "" {
			break
		}
	}
	for run, n := range trail {
		if n != 1 {
			t.Errorf("run %s was claimed %d times in the trail", run, n)
		}
	}
	if len(trail) != rounds || refused.Load() < int64(rounds*(workers-1)) {
		t.Errorf("%d of %d claims in the trail, %d refused", len(trail), rounds, refused.Load())
	}
	if flaky.Lost.Load() == 0 || lost.Load() == 0 {
		t.Error("no answer was lost: the test tests little")
	}
	g.Figure("tickets", rounds)
	g.Figure("workers at once with each", workers)
	g.Figure("requests", requests.Load())
	g.Figure("answers lost", fmt.Sprintf("%d of the engine, %d of the function", flaky.Lost.Load(), lost.Load()))
	g.Figure("workers refused", refused.Load())
	g.Figure("tickets with another number of winners than one, or with unequal answers", wrong.Load())
	g.Figure("seed", 7)
}
