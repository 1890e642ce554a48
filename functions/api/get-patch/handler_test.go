package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"outpost/infra/local/engines/enginetest"
	"outpost/shared/api/apitest"
	"outpost/shared/artifact"
	"outpost/shared/clock"
	"outpost/shared/problem"
	"outpost/shared/settlement"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/task"
)

// shelf holds artifacts by key. What S3 itself does is under test in
// shared/artifact.
type shelf map[string]string

func (s shelf) Get(_ context.Context, key string, _ int64) ([]byte, error) {
	if key == "" {
		return nil, errors.New("no key")
	}
	if patch, ok := s[key]; ok {
		return []byte(patch), nil
	}
	return nil, artifact.ErrMissing
}

func (s shelf) PresignGet(_ context.Context, key string) (string, error) {
	return "https://s3/" + key, nil
}

type world struct {
	*apitest.World
	*apitest.Route
	shelf shelf
}

func newWorld(t *testing.T) world {
	c := clock.NewManual(settlementtest.Start)
	w := apitest.New(t, enginetest.Table(t, c), c, "pro")
	s := shelf{}
	return world{w, apitest.Serve(t, "GET", "/v1/runs/{id}/patch", handler{w.Table, s}.handle), s}
}

// ended is a run that ended with artifacts.
func (w world) ended(artifacts ...task.Artifact) task.Run {
	w.T.Helper()
	w.SubmitAs(w.Caller, 1)
	run := w.Running("token")
	_, err := w.StoreResult(w.T.Context(), w.Tenant, run.ID, 1, "nonce", task.Result{State: task.Succeeded, Verify: task.Verify{State: task.VerifyNone}, Artifacts: artifacts})
	w.Must(err)
	_, err = settlement.Settler{Store: w.Table, Clock: w.Clock, Timing: task.DefaultTiming}.Settle(w.T.Context(), w.Tenant, run.ID, run.Starts)
	w.Must(err)
	return run
}

func key(w world, run task.Run) string { return artifact.Key(w.Tenant, run.ID, 1, task.ArtifactPatch) }

func TestAPatchIsReadByteForByte(t *testing.T) {
	w := newWorld(t)
	for _, patch := range []string{"diff --git a/x b/x\n", "latin1: \xe9\r\n\x00\xff", "ü\n"} {
		run := w.ended(task.Artifact{Name: task.ArtifactPatch, Size: int64(len(patch))})
		w.shelf[key(w, run)] = patch
		a := w.As(w.Caller, apitest.Request{ID: run.ID})
		if a.Status != 200 || string(a.Body) != patch || !strings.HasPrefix(a.Header["Content-Type"], "text/x-diff") {
			t.Errorf("%d %q %v", a.Status, a.Body, a.Header)
		}
	}
}

func TestALargePatchIsARedirect(t *testing.T) {
	w := newWorld(t)
	atLimit := w.ended(task.Artifact{Name: task.ArtifactPatch, Size: maxInline})
	w.shelf[key(w, atLimit)] = strings.Repeat("x", maxInline)
	if a := w.As(w.Caller, apitest.Request{ID: atLimit.ID}); a.Status != 200 || len(a.Body) != maxInline {
		t.Errorf("%d, %d bytes", a.Status, len(a.Body))
	}
	over := w.ended(task.Artifact{Name: task.ArtifactPatch, Size: maxInline + 1})
	if a := w.As(w.Caller, apitest.Request{ID: over.ID}); a.Status != 302 || a.Header["Location"] != "https://s3/"+key(w, over) || len(a.Body) != 0 {
		t.Errorf("%d %v", a.Status, a.Header)
	}
}

func TestWhereThereIsNoPatch(t *testing.T) {
	w := newWorld(t)
	none := w.ended(task.Artifact{Name: task.ArtifactLog, Size: 3})
	lost := w.ended(task.Artifact{Name: task.ArtifactPatch, Size: 3}) // announced, never uploaded
	w.SubmitAs(w.Caller, 1)
	running := w.Running("token")
	for _, run := range []task.Run{none, lost, running} {
		w.As(w.Caller, apitest.Request{ID: run.ID}).Refused(t, problem.NoPatch, "")
	}
	// A result is stored, and settlement has not ended the run yet.
	w.Finish(running)
	w.As(w.Caller, apitest.Request{ID: running.ID}).Refused(t, problem.NoPatch, "")
}

func TestStrangersFindNothing(t *testing.T) {
	w := newWorld(t)
	run := w.ended(task.Artifact{Name: task.ArtifactPatch, Size: 1})
	w.shelf[key(w, run)] = "x"
	w.HidesFromStrangers(w.World, run.ID)
}
