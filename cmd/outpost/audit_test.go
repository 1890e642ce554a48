package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"outpost/cmd/outpost/internal/apitest"
	"outpost/shared/audit"
	"outpost/shared/id"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestTheTrailIsShownAndGivenToScripts(t *testing.T) {
	var events []map[string]any
	for n := range 130 {
		at := noon.Add(-time.Duration(n) * time.Minute)
		e := map[string]any{"id": id.New(id.Audit, at), "at": at.Format(time.RFC3339Nano), "action": "task.create", "actor": "key_1", "target": fmt.Sprint("thing-", n), "count": 1}
		if n == 0 {
			e["action"], e["count"], e["address"] = "request.refused", 12, "203.0.113.9"
			e["detail"] = "quota_exceeded: POST /v1/tasks"
		}
		if n == 1 {
			e["changes"] = []any{map[string]any{"field": "state", "before": "active", "after": "suspended"}, map[string]any{"field": "host", "before": "", "after": "a.example"},
				map[string]any{"field": "email", "before": "x@y.example", "after": ""}}
		}
		events = append(events, e)
	}
	api := apitest.Start(t, apitest.Script{Audit: events})
	got := finish(t, command(t, api, "audit", "--since", "36h", "--until", "2026-11-24"))
	for _, want := range []string{"request.refused", "12", "203.0.113.9", "quota_exceeded: POST /v1/tasks", "state active → suspended, host a.example, no email (was x@y.example)"} {
		if got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("%q is missing in %+v", want, got)
		}
	}
	var all []map[string]any
	got = finish(t, command(t, api, "audit", "--limit", "125", "--action", "task.create", "--json"))
	if err := json.Unmarshal([]byte(got.stdout), &all); err != nil || len(all) != 125 || all[124]["target"] != "thing-125" || len(all[0]["changes"].([]any)) != 3 {
		t.Errorf("%d events over pages, %v: %.300s", len(all), err, got.stdout)
	}
	for _, args := range [][]string{{"--limit", "0"}, {"--since", "yesterday"}, {"--until", "soon"}, {"extra"}} {
		if got := finish(t, command(t, api, append([]string{"audit"}, args...)...)); got.code != 2 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

const ten = "ten_01KAR5G5M00000000000000001"

// chain are exports of 25 days: an API that lists them, and the bucket.
func chain(t *testing.T) (*apitest.API, map[string][]byte) {
	t.Helper()
	bucket := map[string][]byte{}
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the bucket was shown a key")
		}
		if body, ok := bucket[r.URL.Path]; ok {
			_, _ = w.Write(body)
			return
		}
		w.WriteHeader(http.StatusForbidden) // as S3 says to who may not list
		_, _ = w.Write([]byte("<Error><Code>AccessDenied</Code></Error>"))
	}))
	t.Cleanup(files.Close)
	var script apitest.Script
	var before audit.Link
	for n := range 25 {
		at := noon.AddDate(0, 0, n-25)
		f := audit.NewFile(ten)
		for range n + 1 {
			must(t, f.Add(audit.Event{ID: id.New(id.Audit, at), At: at, Action: "task.create", Actor: "key_1", Count: 1}))
		}
		file, err := f.Close()
		must(t, err)
		manifest, err := audit.After(before, ten, audit.Day(at), file, f.Events()).Encode()
		must(t, err)
		before = audit.Link{Sequence: n + 1, Ref: audit.Ref{Day: audit.Day(at), SHA256: audit.Hash(manifest)}}
		bucket["/"+before.Day+".jsonl.gz"], bucket["/"+before.Day+".manifest.json"] = file, manifest
		script.Exports = append(script.Exports, map[string]any{"sequence": before.Sequence, "day": before.Day, "manifest_sha256": before.SHA256,
			"manifest_url": files.URL + "/" + before.Day + ".manifest.json", "file_url": files.URL + "/" + before.Day + ".jsonl.gz", "expires_at": "2026-11-23T12:15:00Z"})
	}
	return apitest.Start(t, script), bucket
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func verify(t *testing.T, api *apitest.API, args ...string) result {
	t.Helper()
	cmd := command(t, api, append([]string{"admin", "audit", "verify", ten}, args...)...)
	cmd.Env = append(cmd.Env, "OUTPOST_API_KEY=", "OUTPOST_OPERATOR_KEY="+api.Key)
	return finish(t, cmd)
}

func TestTheOperatorVerifiesATrail(t *testing.T) {
	api, bucket := chain(t)
	head := api.Exports[24]["manifest_sha256"].(string)
	got := verify(t, api)
	if got.code != 0 || !strings.Contains(got.stdout, "25 exports, 325 events, whole.") || !strings.Contains(got.stdout, head) {
		t.Errorf("%+v", got)
	}
	if got := verify(t, api, "--noted", head); got.code != 0 {
		t.Errorf("with the head noted: %+v", got)
	}
	if got := verify(t, api, "--noted", strings.Repeat("0", 64)); got.code != 1 || !strings.Contains(got.stdout, "no manifest has the noted hash") {
		t.Errorf("with another hash noted: %+v", got)
	}
	file, manifest := "/2026-11-05.jsonl.gz", "/2026-11-05.manifest.json"
	flipped := func(b []byte) []byte {
		b = slices.Clone(b)
		b[len(b)/2] ^= 4
		return b
	}
	for name, c := range map[string]struct {
		bucket map[string][]byte // nil: removed
		says   []string
	}{
		"a flipped bit of a file":     {map[string][]byte{file: flipped(bucket[file])}, []string{"2026-11-05", "the file was changed"}},
		"a flipped bit of a manifest": {map[string][]byte{manifest: flipped(bucket[manifest])}, []string{"2026-11-05", "the manifest was changed"}},
		"a truncated file":            {map[string][]byte{file: bucket[file][:20]}, []string{"2026-11-05", "the file was changed"}},
		"a removed file":              {map[string][]byte{file: nil}, []string{"2026-11-05", "the file is missing"}},
		"a removed manifest":          {map[string][]byte{manifest: nil}, []string{"2026-11-05", "the manifest is missing"}},
		"swapped files": {map[string][]byte{file: bucket["/2026-11-06.jsonl.gz"], "/2026-11-06.jsonl.gz": bucket[file]},
			[]string{"2026-11-05", "the file is that of 2026-11-06", "2026-11-06", "the file is that of 2026-11-05"}},
	} {
		t.Run(name, func(t *testing.T) {
			api, other := chain(t)
			for key := range other {
				if other[key] = bucket[key]; other[key] == nil {
					delete(other, key)
				}
			}
			api.Exports = retold(api.Exports, bucket)
			for key, body := range c.bucket {
				if other[key] = body; body == nil {
					delete(other, key)
				}
			}
			got := verify(t, api)
			for _, want := range c.says {
				if got.code != 1 || !strings.Contains(got.stdout, want) {
					t.Errorf("%q is missing in %+v", want, got)
				}
			}
			var v struct {
				Whole  bool
				Faults []audit.Fault
			}
			if got := verify(t, api, "--json"); got.code != 1 || json.Unmarshal([]byte(got.stdout), &v) != nil || v.Whole || len(v.Faults) != len(c.says)/2 {
				t.Errorf("as JSON: %+v", got)
			}
		})
	}
	all := api.Exports
	api.Exports, api.Head = all[:20], map[string]any{"sequence": 25, "day": "2026-11-22", "manifest_sha256": head}
	if got := verify(t, api); got.code != 1 || !strings.Contains(got.stdout, "exports are missing at the end") {
		t.Errorf("cut off: %+v", got)
	}
	api.Exports = slices.Concat(all[:3], all[5:])
	if got := verify(t, api); got.code != 1 || !strings.Contains(got.stdout, "exports are missing before it: it is number 6 and follows number 3") {
		t.Errorf("a gap: %+v", got)
	}
	api.Exports, api.Head = nil, nil
	if got := verify(t, api); got.code != 0 || !strings.Contains(got.stdout, "0 exports") {
		t.Errorf("nothing exported: %+v", got)
	}
}

// retold gives exports the hashes of the manifests of a bucket.
func retold(exports []map[string]any, bucket map[string][]byte) []map[string]any {
	for _, e := range exports {
		e["manifest_sha256"] = audit.Hash(bucket["/"+e["day"].(string)+".manifest.json"])
	}
	return exports
}

func TestAdminTakesTheOperatorsKeyAlone(t *testing.T) {
	api, _ := chain(t)
	cmd := command(t, api, "admin", "audit", "verify", ten) // has a tenant's key
	if got := finish(t, cmd); got.code != 2 || !strings.Contains(got.stderr, "OUTPOST_OPERATOR_KEY") {
		t.Errorf("%+v", got)
	}
}
