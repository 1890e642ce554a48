package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"outpost/infra/local/engines/enginetest"
	"outpost/infra/local/s3/s3test"
	"outpost/infra/local/stripe/entitlementtest"
	"outpost/shared/artifact"
	"outpost/shared/audit"
	"outpost/shared/clock"
	"outpost/shared/entitlement"
	"outpost/shared/id"
	"outpost/shared/secret"
	"outpost/shared/settlement/settlementtest"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

const aDay = 24 * time.Hour

func TestMain(m *testing.M) { s3test.Main(m) }

// place is a table and a bucket, and a remover that works on them.
type place struct {
	t      testing.TB
	clock  *clock.Manual
	name   string // of the table
	bucket string
	store  *table.Table
	db     *dynamodb.Client
	s3     *awss3.Client
}

func newPlace(t testing.TB, c *clock.Manual) *place {
	t.Helper()
	p := &place{t: t, clock: c, db: enginetest.Client(t, nil)}
	p.name = enginetest.TableName(t, p.db)
	p.bucket = "remove-" + strings.ToLower(p.name[len(p.name)-16:])
	p.store = table.New(p.db, p.name, c)
	p.s3 = awss3.NewFromConfig(s3test.Config(p.t, nil), func(o *awss3.Options) { o.UsePathStyle = true })
	_, err := p.s3.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &p.bucket})
	p.must(err)
	return p
}

// remover is one whose every call goes through a transport; nil is the plain one.
func (p *place) remover(transport http.RoundTripper) remover {
	p.t.Helper()
	store := table.New(enginetest.Client(p.t, transport), p.name, p.clock)
	return remover{store: store, secrets: secret.NewVault(nil, "", store), objects: artifact.New(s3test.Config(p.t, transport), p.bucket), clock: p.clock}
}

// round runs the remover once.
func (p *place) round() {
	p.t.Helper()
	p.must(p.remover(nil).handle(p.t.Context()))
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) put(key, body string) {
	p.t.Helper()
	_, err := p.s3.PutObject(p.t.Context(), &awss3.PutObjectInput{Bucket: &p.bucket, Key: &key, Body: strings.NewReader(body)})
	p.must(err)
}

// contents are all objects and all rows, by their keys.
type contents struct{ objects, rows map[string]string }

func (p *place) contents() contents {
	p.t.Helper()
	c := contents{map[string]string{}, map[string]string{}}
	pages := awss3.NewListObjectsV2Paginator(p.s3, &awss3.ListObjectsV2Input{Bucket: &p.bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(p.t.Context())
		p.must(err)
		for _, o := range page.Contents {
			got, err := p.s3.GetObject(p.t.Context(), &awss3.GetObjectInput{Bucket: &p.bucket, Key: o.Key})
			p.must(err)
			body, err := io.ReadAll(got.Body)
			p.must(err)
			p.must(got.Body.Close())
			c.objects[*o.Key] = string(body)
		}
	}
	for _, item := range p.items() {
		shown, err := json.Marshal(plain(&types.AttributeValueMemberM{Value: item}))
		p.must(err)
		c.rows[rowKey(item)] = string(shown)
	}
	return c
}

type item = map[string]types.AttributeValue

func rowKey(i item) string {
	return i["PK"].(*types.AttributeValueMemberS).Value + " " + i["SK"].(*types.AttributeValueMemberS).Value
}

func (p *place) items() (all []item) {
	p.t.Helper()
	pages := dynamodb.NewScanPaginator(p.db, &dynamodb.ScanInput{TableName: &p.name, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(p.t.Context())
		p.must(err)
		all = append(all, page.Items...)
	}
	return all
}

// write puts rows as they are.
func (p *place) write(items ...item) {
	p.t.Helper()
	for batch := range slices.Chunk(items, 25) {
		var in []types.WriteRequest
		for _, i := range batch {
			in = append(in, types.WriteRequest{PutRequest: &types.PutRequest{Item: i}})
		}
		out, err := p.db.BatchWriteItem(p.t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{p.name: in}})
		if p.must(err); len(out.UnprocessedItems) > 0 {
			p.t.Fatal("the engine did not write all")
		}
	}
}

// plain is a value of DynamoDB as JSON has it, its type told.
func plain(v types.AttributeValue) any {
	switch v := v.(type) {
	case *types.AttributeValueMemberM:
		out := map[string]any{}
		for name, value := range v.Value {
			out[name] = plain(value)
		}
		return out
	case *types.AttributeValueMemberL:
		out := []any{}
		for _, value := range v.Value {
			out = append(out, plain(value))
		}
		return out
	}
	return fmt.Sprintf("%T %v", v, v)
}

// of tells whether a row or an object is a tenant's.
func of(tenantID, key string) bool { return strings.Contains(key, tenantID) }

// world is a place with a tenant that has one of everything, closed and quiet, and
// its neighbour, who has the same and is active.
type world struct {
	*place
	billing           *entitlementtest.World
	tenant, neighbour string
	hashes            []string // of the tenant's keys
	customers         []string // of the tenant's at Stripe
	before            contents
	all               []item
}

// newWorld makes the tenants and closes one. Its clock is a moment before the
// removal is due.
func newWorld(t testing.TB) *world {
	t.Helper()
	c := clock.NewManual(settlementtest.Start)
	w := &world{place: newPlace(t, c)}
	w.billing = entitlementtest.On(t, w.store, c)
	w.neighbour = w.billing.Tenant
	w.moveIn()
	w.billing.Another("free")
	w.tenant = w.billing.Tenant
	w.hashes, w.customers = w.moveIn()
	w.close()
	w.round() // nothing of it runs
	w.billing.EndAll(w.customers[1])
	w.sync("")
	w.clock.Advance(tenant.KeptClosed - aDay)
	w.export(w.tenant, audit.Day(w.clock.Now().Add(-aDay)))
	w.clock.Advance(aDay - time.Minute)
	w.before, w.all = w.contents(), w.items()
	return w
}

// again is the same world once more, on a table and a bucket of its own.
func (w *world) again(t testing.TB) *world {
	t.Helper()
	c := clock.NewManual(w.clock.Now())
	copied := *w
	copied.place = newPlace(t, c)
	copied.write(w.all...)
	for key, body := range w.before.objects {
		copied.put(key, body)
	}
	return &copied
}

func (w *world) by(action string) table.By { return w.billing.By(action) }

func (w *world) close() {
	w.t.Helper()
	_, err := w.store.ChangeTenant(w.t.Context(), w.tenant, w.by("tenant.close"),
		func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Close(w.clock.Now()), nil })
	w.must(err)
}

// sync looks at Stripe for the tenant a second later, for an event or for none.
func (w *world) sync(event string) {
	w.t.Helper()
	w.clock.Advance(time.Second)
	_, err := w.billing.Keeper.Sync(w.t.Context(), w.tenant, entitlement.Cause{Actor: "test", Event: event})
	w.must(err)
}

// export makes an export of a tenant's trail, and says that all days were exported.
func (w *world) export(tenantID, day string) {
	w.t.Helper()
	ctx := w.t.Context()
	head, _, err := w.store.ExportHead(ctx, tenantID)
	w.must(err)
	w.must(w.store.BeginExport(ctx, tenantID, head, day))
	w.must(w.store.EndExport(ctx, tenantID, audit.Link{Sequence: head.Sequence + 1, Ref: audit.Ref{Day: day, SHA256: "of the manifest"}}))
	w.put(artifact.AuditFile(tenantID, day), "the events of "+tenantID)
	w.put(artifact.AuditManifest(tenantID, day), "the manifest of "+tenantID)
	w.exported(audit.Day(w.clock.Now()))
}

// exported says that every tenant's trail was exported up to a day.
func (p *place) exported(day string) {
	p.t.Helper()
	_, err := p.store.LeaseExport(p.t.Context(), "test", p.clock.Now())
	p.must(err)
	p.must(p.store.SaveExport(p.t.Context(), "test", table.ExportProgress{Done: day}, true))
}

// moveIn gives the tenant of w.billing one of everything: whatever a tenant may
// leave in the table or in the bucket needs its line here.
func (w *world) moveIn() (hashes, customers []string) {
	w.t.Helper()
	b, s, ctx, now := w.billing, w.store, w.t.Context(), w.clock.Now()
	b.World.Tenant = b.Tenant
	ten := b.Tenant
	hashes = []string{b.Caller.KeyHash}

	for n, name := range []string{"rotated", "revoked", "good"} {
		k := table.Key{ID: id.New(id.Key, now), Hash: fmt.Sprintf("v1.%s.%d", ten, n), Name: name, Entitlement: b.Caller.Entitlement, State: table.KeyActive, CreatedAt: now}
		w.must(s.CreateKey(ctx, ten, k, w.by("key.create")))
		hashes = append(hashes, k.Hash)
		switch name {
		case "rotated":
			next := table.Key{ID: id.New(id.Key, now), Hash: "v1." + ten + ".next", State: table.KeyActive, CreatedAt: now}
			hashes = append(hashes, next.Hash)
			_, err := s.RotateKey(ctx, ten, k.ID, now.Add(time.Hour), w.by("key.rotate"), func(table.Key) (table.Key, *table.Idempotency, error) { return next, nil, nil })
			w.must(err)
		case "revoked":
			_, err := s.RevokeKey(ctx, ten, k.ID, w.by("key.revoke"))
			w.must(err)
		}
	}
	for version := range 3 {
		w.must(s.PutSecret(ctx, ten, table.Sealed{Name: "OPENAI_API_KEY", Version: version + 1, Ciphertext: []byte("sealed"), SetAt: now}, w.by("secret.put")))
	}
	_, err := s.CountRequest(ctx, ten, 100)
	w.must(err)
	w.must(s.NoteRefusal(ctx, ten, "quota", w.by("request.refused").Audit))

	tk := b.SubmitAs(b.Caller, 3)
	r := b.Running("token of " + ten)
	w.must(s.PutEvents(ctx, ten, r.ID, 1, []task.Event{{Seq: task.EventSeq(1, 1), At: now, Kind: task.EventPhase, Text: "clone"}}))
	b.Finish(r)
	for _, run := range tk.Runs {
		run, err := s.Run(ctx, ten, run.ID)
		w.must(err)
		d := task.Decision{Next: task.NextDone, End: task.Cancelled, Reason: task.ReasonCancelled}
		if run.Result != nil {
			d = task.Decide(run, now, task.DefaultTiming)
		}
		_, err = s.Settle(ctx, ten, table.Settlement{Run: run, Decision: d, Now: now})
		w.must(err)
	}
	for _, name := range []string{task.ArtifactPatch, task.ArtifactSummary, task.ArtifactLog, task.ArtifactTranscript, task.ArtifactVerifyLog} {
		w.put(artifact.Key(ten, r.ID, 1, name), name+" of "+ten)
	}

	first := b.Pays("pro") // who was deleted at Stripe, and another one who pays
	b.Deletes(first)
	b.Sync("evt_1_" + ten)
	second := b.Pays("pro")
	b.Sync("evt_2_" + ten)
	w.export(ten, audit.Day(now))
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	for _, sk := range []string{"HOOK#whk_1", "IDEM#0f", "PROMOTION#01", "ZZZ", "0"} { // what others may keep there
		w.write(item{"PK": text("T#" + ten), "SK": text(sk)})
	}
	return hashes, []string{first, second}
}

// untouched fails when anything but the tenant's is not as it was.
func (w *world) untouched() {
	w.t.Helper()
	now := w.contents()
	for kind, c := range map[string][2]map[string]string{"object": {w.before.objects, now.objects}, "row": {w.before.rows, now.rows}} {
		for key, was := range c[0] {
			if !w.mine(key) && c[1][key] != was {
				w.t.Fatalf("the %s %s is otherwise: %q, it was %q", kind, key, c[1][key], was)
			}
		}
		for key := range c[1] {
			if _, ok := c[0][key]; !ok && !w.mine(key) {
				w.t.Fatalf("the %s %s is new", kind, key)
			}
		}
	}
}

// mine tells whether a row or an object is the tenant's.
func (w *world) mine(key string) bool {
	return of(w.tenant, key) || slices.ContainsFunc(w.customers, func(c string) bool { return strings.HasPrefix(key, "CUS#"+c+" ") })
}

// left are the tenant's rows and objects, without the exported trail and the rows
// that list it, which stay, and Stripe's events, which forget themselves.
func (w *world) left() (keys []string) {
	w.t.Helper()
	now := w.contents()
	for key, was := range w.before.objects {
		if strings.HasPrefix(key, artifact.AuditPrefix+"/") && now.objects[key] != was {
			w.t.Fatalf("the trail's export has gone: %s", key)
		}
	}
	for key, was := range w.before.rows {
		if of(w.tenant, key) && strings.Contains(key, " EXPORT#") && now.rows[key] != was {
			w.t.Fatalf("the list of exports is otherwise: %s", key)
		}
	}
	for _, set := range []map[string]string{now.objects, now.rows} {
		for key := range set {
			if w.mine(key) && !strings.HasPrefix(key, artifact.AuditPrefix+"/") && !strings.Contains(key, " EXPORT#") && !strings.HasPrefix(key, "EVT#") {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// gone fails unless nothing is left of the tenant but its tombstone and the events of
// its removal, with others that the test makes.
func (w *world) gone(others ...string) {
	w.t.Helper()
	w.untouched()
	tn, err := w.store.Tenant(w.t.Context(), w.tenant)
	w.must(err)
	closed := settlementtest.Start
	if tn.RemovedAt.IsZero() || tn.Name != "" || tn.Email != "" || tn.Entitlement.State != tenant.Closed || tn.Entitlement.Overrides != (tenant.Overrides{}) ||
		tn.CreatedAt.Before(closed) || tn.ClosedAt.Before(closed) || tn.PlanSource != tenant.ByOperator {
		w.t.Fatalf("the tombstone is %+v", tn)
	}
	events, err := w.store.AuditTrail(w.t.Context(), w.tenant, 100)
	w.must(err)
	removals, secrets := 0, 0
	for _, e := range events {
		if mine := e.Actor == actor && e.Target == w.tenant; mine && e.Action == "tenant.remove" {
			removals++
		} else if mine && e.Action == "secret.delete" {
			secrets++
		} else if !slices.Contains(others, e.Action) {
			w.t.Fatalf("an event is left: %+v", e)
		}
	}
	if left := w.left(); removals != 1 || secrets != 1 || len(left) != 1+len(events) || left[len(left)-1] != "T#"+w.tenant+" TENANT" {
		w.t.Fatalf("%d and %d events of the removal; left are %v", removals, secrets, left)
	}
	due, err := w.store.ClosedDue(w.t.Context(), w.clock.Now().Add(1000*aDay), 10)
	if w.must(err); len(due) != 0 {
		w.t.Fatalf("there is still something to do for %v", due)
	}
}
