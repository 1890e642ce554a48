package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api/apitest"
	"outpost/shared/artifact"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/runner"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/task"
	"outpost/shared/token"
)

// pen signs every key. What S3 makes of it is under test in shared/artifact.
type pen struct{}

func (pen) PresignPut(_ context.Context, key string, a task.Artifact) (string, map[string]string, error) {
	return "https://s3/" + key, map[string]string{"X-Sum": a.SHA256}, nil
}

var sum = strings.Repeat("ab", 32)

func newWorld(t *testing.T) (w *apitest.World, ask func(token.Claims, ...task.Artifact) apitest.Answer, mine token.Claims) {
	c := clock.NewManual(settlementtest.Start)
	w = apitest.New(t, enginetest.Table(t, c), c, "pro")
	route := apitest.Serve(t, "POST", "/runner/v1/uploads", handler{w.Table, pen{}}.handle)
	w.SubmitAs(w.Caller, 1)
	r := w.Running("token")
	ask = func(claims token.Claims, artifacts ...task.Artifact) apitest.Answer {
		t.Helper()
		body, err := json.Marshal(runner.UploadsRequest{Artifacts: artifacts})
		w.Must(err)
		return route.AsWorker(claims, apitest.Request{Body: string(body)})
	}
	return w, ask, token.Claims{Kind: token.Run, Tenant: w.Tenant, Run: r.ID, Attempt: 1, Nonce: "nonce"}
}

func TestAnUploadGoesUnderItsOwnAttempt(t *testing.T) {
	_, ask, mine := newWorld(t)
	var got runner.UploadsResponse
	ask(mine, task.Artifact{Name: task.ArtifactPatch, Size: task.MaxPatch, SHA256: sum}, task.Artifact{Name: task.ArtifactLog, Size: 0, SHA256: sum}).Into(t, 200, &got)
	for i, name := range []string{task.ArtifactPatch, task.ArtifactLog} {
		if u := got.Uploads[i]; u.Name != name || u.URL != "https://s3/"+artifact.Key(mine.Tenant, mine.Run, 1, name) || u.Headers["X-Sum"] != sum {
			t.Errorf("%+v", u)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	_, ask, mine := newWorld(t)
	good := task.Artifact{Name: task.ArtifactPatch, Size: 1, SHA256: sum}
	with := func(change func(*task.Artifact)) task.Artifact { a := good; change(&a); return a }
	for _, c := range []struct {
		artifacts []task.Artifact
		field     string
	}{
		{nil, "/artifacts"},
		{[]task.Artifact{with(func(a *task.Artifact) { a.Name = "../../other" })}, "/artifacts/0/name"},
		{[]task.Artifact{with(func(a *task.Artifact) { a.Name = "" })}, "/artifacts/0/name"},
		{[]task.Artifact{good, good}, "/artifacts/1/name"},
		{[]task.Artifact{with(func(a *task.Artifact) { a.Size = -1 })}, "/artifacts/0/size"},
		{[]task.Artifact{with(func(a *task.Artifact) { a.Size = task.MaxPatch + 1 })}, "/artifacts/0/size"},
		{[]task.Artifact{with(func(a *task.Artifact) { a.Name, a.Size = task.ArtifactLog, task.MaxLog+1 })}, "/artifacts/0/size"},
		{[]task.Artifact{with(func(a *task.Artifact) { a.SHA256 = strings.Repeat("AB", 32) })}, "/artifacts/0/sha256"},
		{[]task.Artifact{with(func(a *task.Artifact) { a.SHA256 = "" })}, "/artifacts/0/sha256"},
	} {
		ask(mine, c.artifacts...).Refused(t, problem.ValidationFailed, c.field)
	}
}

func TestOnlyTheAttemptThatHoldsTheRunMayUpload(t *testing.T) {
	w, ask, mine := newWorld(t)
	a := task.Artifact{Name: task.ArtifactPatch, Size: 1, SHA256: sum}
	for _, change := range []func(*token.Claims){
		func(c *token.Claims) { c.Nonce = "other" }, func(c *token.Claims) { c.Attempt = 2 },
		func(c *token.Claims) { c.Tenant = w.Stranger("pro").Tenant }, func(c *token.Claims) { c.Run = "run_x" },
	} {
		other := mine
		change(&other)
		ask(other, a).Refused(t, problem.AttemptSuperseded, "")
	}
	w.Finish(w.Read(mine.Run)) // what was reported does not change any more
	ask(mine, a).Refused(t, problem.AttemptSuperseded, "")
}
