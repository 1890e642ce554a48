package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/s3/s3test"
	"outpost/shared/artifact"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/id"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/tenant"
)

var (
	noon     = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	endOfDay = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
)

func TestMain(m *testing.M) { s3test.Main(m) }

// world is an exporter on a table and a bucket of its own.
type world struct {
	t        *testing.T
	clock    *clock.Manual
	name     string // of table and bucket
	store    *table.Table
	bucket   *artifact.Store
	s3       *awss3.Client
	exporter exporter
}

func newWorld(t *testing.T) *world {
	t.Helper()
	client := enginetest.Client(t, nil)
	w := &world{t: t, clock: clock.NewManual(noon), name: enginetest.TableName(t, client)}
	w.exporter = w.through(nil)
	w.store, w.bucket = w.exporter.store.(*table.Table), w.exporter.objects.(*artifact.Store)
	w.s3 = awss3.NewFromConfig(s3test.Config(w.t, nil), func(o *awss3.Options) { o.UsePathStyle = true })
	bucket := w.bucketName()
	_, err := w.s3.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket})
	w.must(err)
	return w
}

func (w *world) bucketName() string { return "audit-" + fmt.Sprintf("%x", w.name[len(w.name)-10:]) }

// through is an exporter whose every call goes through a cut.
func (w *world) through(cut *settlementtest.Cut) exporter {
	var transport http.RoundTripper
	if cut != nil {
		transport = cut
	}
	return exporter{store: table.New(enginetest.Client(w.t, transport), w.name, w.clock),
		objects: artifact.New(s3test.Config(w.t, transport), w.bucketName()), clock: w.clock}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) at(now time.Time) { w.clock.Advance(now.Sub(w.clock.Now())) }

func (w *world) tenant() string {
	w.t.Helper()
	e := tenant.Entitlement{Plan: "pro", State: tenant.Active, Version: 1}
	tenantID := id.New(id.Tenant, noon)
	k := table.Key{ID: id.New(id.Key, noon), Hash: "v1." + tenantID, State: table.KeyActive, CreatedAt: noon}
	w.must(w.store.CreateTenant(w.t.Context(), tenant.Tenant{ID: tenantID, Entitlement: e, CreatedAt: noon}, k, by(noon)))
	return tenantID
}

func by(at time.Time) table.By {
	return table.By{Audit: audit.Event{ID: id.New(id.Audit, at), At: at, Action: "test.happened", Actor: "test"}}
}

// event makes something happen at a time and returns the event's id.
func (w *world) event(tenantID string, at time.Time) string {
	w.t.Helper()
	who := by(at)
	w.must(w.store.PutSecret(w.t.Context(), tenantID, table.Sealed{Name: who.Audit.ID, Version: 1, SetAt: at}, who))
	return who.Audit.ID
}

// refused makes n refusals that are one event.
func (w *world) refused(tenantID string, at time.Time, n int) {
	w.t.Helper()
	for range n {
		w.must(w.store.NoteRefusal(w.t.Context(), tenantID, "quota", audit.Event{At: at, Action: "request.refused", Actor: "key_1"}))
	}
}

func (w *world) export() {
	w.t.Helper()
	w.must(w.exporter.handle(w.t.Context()))
}

// hurry is a context that says, once the first tenants were listed, that the time
// is nearly up; and the store that lists them.
type hurry struct {
	context.Context
	*table.Table
	near atomic.Bool
}

func (h *hurry) Deadline() (time.Time, bool) {
	return clock.System.Now().Add(spare / 2), h.near.Load()
}

func (h *hurry) Tenants(ctx context.Context, after string, limit int) ([]tenant.Tenant, string, error) {
	h.near.Store(true)
	return h.Table.Tenants(ctx, after, limit)
}

func (w *world) links(tenantID string) (all []audit.Link) {
	w.t.Helper()
	for after, more := 0, true; more; more = after != 0 {
		links, next, err := w.store.Exports(w.t.Context(), tenantID, after, 2)
		w.must(err)
		all, after = append(all, links...), next
	}
	return all
}

// exports lists the days that were exported, in their order.
func (w *world) exports(tenantID string) (days []string) {
	for _, l := range w.links(tenantID) {
		days = append(days, l.Day)
	}
	return days
}

func (w *world) verify(tenantID string) []audit.Fault {
	w.t.Helper()
	objects := w.objects()
	var found []audit.Found
	for _, l := range w.links(tenantID) {
		f := audit.Found{Link: l, Manifest: objects[artifact.AuditManifest(tenantID, l.Day)]}
		if file := objects[artifact.AuditFile(tenantID, l.Day)]; file != nil {
			d, err := audit.DigestOf(tenantID, bytes.NewReader(file))
			w.must(err)
			f.File = &d
		}
		found = append(found, f)
	}
	head, _, err := w.store.ExportHead(w.t.Context(), tenantID)
	w.must(err)
	return audit.Verify(tenantID, &head, found, "")
}

type exportedLine struct {
	audit.Line
	day string // of its file
}

// lines are the exported events by id; one that is there twice is an error.
func (w *world) lines(tenantID string) map[string]exportedLine {
	w.t.Helper()
	objects, lines := w.objects(), map[string]exportedLine{}
	for _, l := range w.links(tenantID) {
		w.must(audit.Lines(bytes.NewReader(objects[artifact.AuditFile(tenantID, l.Day)]), func(_ []byte, line audit.Line) error {
			if _, twice := lines[line.ID]; twice {
				w.t.Errorf("%s is exported twice", line.ID)
			}
			lines[line.ID] = exportedLine{line, l.Day}
			return nil
		}))
	}
	return lines
}

// whole fails unless the chain is without a fault and has every event of the
// trail until the day of now, once.
func (w *world) whole(tenantID string) {
	w.t.Helper()
	if faults := w.verify(tenantID); len(faults) > 0 {
		w.t.Errorf("faults: %+v", faults)
	}
	trail, err := w.store.AuditTrail(w.t.Context(), tenantID, 1000)
	w.must(err)
	lines := w.lines(tenantID)
	for _, e := range trail {
		if _, ok := lines[e.ID]; !ok && e.Day() < audit.Day(w.clock.Now()) {
			w.t.Errorf("%s of %s is not exported", e.ID, e.At)
		}
	}
	if len(lines) == 0 {
		w.t.Error("nothing is exported")
	}
}

// objects are the bucket's, by key.
func (w *world) objects() map[string][]byte {
	w.t.Helper()
	bucket, all := w.bucketName(), map[string][]byte{}
	list, err := w.s3.ListObjectsV2(w.t.Context(), &awss3.ListObjectsV2Input{Bucket: &bucket})
	w.must(err)
	for _, o := range list.Contents {
		got, err := w.s3.GetObject(w.t.Context(), &awss3.GetObjectInput{Bucket: &bucket, Key: o.Key})
		w.must(err)
		body, err := io.ReadAll(got.Body)
		w.must(err)
		w.must(got.Body.Close())
		all[*o.Key] = body
	}
	return all
}

func (w *world) remove(key string) {
	w.t.Helper()
	bucket := w.bucketName()
	_, err := w.s3.DeleteObject(w.t.Context(), &awss3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	w.must(err)
}
