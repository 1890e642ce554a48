package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api/apitest"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/runner"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/token"
)

func TestTheFirstOfferIsTheCommitOfAllRuns(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	route := apitest.Serve(t, "POST", "/runner/v1/pin", handler{w.Table}.handle)
	tk := w.SubmitAs(w.Caller, 5)
	pinned := make([]string, 5)
	var group sync.WaitGroup
	for i := range pinned {
		group.Go(func() {
			claims := token.Claims{Kind: token.Run, Tenant: w.Tenant, Run: tk.Runs[i].ID, Attempt: 1, Nonce: "n"}
			for { // whoever loses the race too often is told to try again
				a := route.AsWorker(claims, apitest.Request{Body: fmt.Sprintf(`{"commit":%q}`, strings.Repeat(fmt.Sprint(i), 40))})
				if a.Status == 503 {
					continue
				}
				var got runner.PinResponse
				a.Into(t, 200, &got)
				pinned[i] = got.Commit
				return
			}
		})
	}
	group.Wait()
	kept, err := w.Task(t.Context(), w.Tenant, tk.ID)
	w.Must(err)
	for i, p := range pinned {
		if p != kept.Commit || len(p) != 40 {
			t.Errorf("run %d was told %s, the task has %s", i+1, p, kept.Commit)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	route := apitest.Serve(t, "POST", "/runner/v1/pin", handler{w.Table}.handle)
	mine := token.Claims{Kind: token.Run, Tenant: w.Tenant, Run: w.SubmitAs(w.Caller, 1).Runs[0].ID, Attempt: 1}
	for _, bad := range []string{"", "main", strings.Repeat("a", 39), strings.Repeat("A", 40), strings.Repeat("a", 41), "-" + strings.Repeat("a", 39), strings.Repeat("a", 40) + "\\n"} {
		route.AsWorker(mine, apitest.Request{Body: `{"commit":"` + bad + `"}`}).Refused(t, problem.ValidationFailed, "/commit")
	}
	stranger := mine
	stranger.Tenant = w.Stranger("pro").Tenant
	unknown := mine
	unknown.Run = id.ForRun(id.New(id.Task, c.Now()), 1)
	for _, claims := range []token.Claims{stranger, unknown} {
		route.AsWorker(claims, apitest.Request{Body: `{"commit":"` + strings.Repeat("a", 40) + `"}`}).Refused(t, problem.AttemptSuperseded, "")
	}
}
