package table_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"outpost/shared/audit"
	"outpost/shared/id"
	"outpost/shared/table"
	"outpost/shared/task"
	"outpost/shared/tenant"
)

// open lists the methods that are about no single tenant, with the reason.
var open = map[string]string{
	"KeyByHash":           "finds the tenant of a caller; the hash is the proof",
	"CreateTenant":        "makes a tenant",
	"Tenants":             "the operator's list",
	"TouchKey":            "the authorizer's note about a key that it has found",
	"Waiting":             "the scheduler's hints",
	"Overdue":             "the reaper's hints",
	"CountInflight":       "the scheduler's count",
	"FleetVirtualTime":    "of the fleet",
	"SetFleetVirtualTime": "of the fleet",
	"ExportProgress":      "the exporter's",
	"LeaseExport":         "the exporter's",
	"SaveExport":          "the exporter's",
	"BilledTenants":       "the reconciler's list",
	"ClosedDue":           "the remover's list",
	"TenantOfCustomer":    "finds the tenant of Stripe's customer, who is told by Stripe's signature",
	"EventActed":          "of an event that Stripe signed",
}

// Every method about a tenant's things is called with another tenant's ids. It
// must find nothing and change nothing; one without a row here fails.
func TestNoMethodReachesAnotherTenant(t *testing.T) {
	a := newBench(t)
	first := a.admission(2)
	first.Idempotency = &table.Idempotency{Key: "idem", BodyHash: "hash", Status: 202, Body: []byte("{}")}
	a.must(a.Admit(a.ctx, a.tenant, first))
	tk := first.Task
	r := a.running("nonce")
	queued := tk.Runs[1]
	const lease = "a lease of a's"
	a.must(a.LeaseDeposit(a.ctx, a.tenant, lease, start.Add(time.Hour), by("secret.put")))
	a.must(a.PutSecret(a.ctx, a.tenant, table.Sealed{Name: "OPENAI_API_KEY", Version: 1, Ciphertext: []byte{1}, WrappedKey: []byte{2}, SetAt: start}, by("secret.put")))
	a.must(a.PutEvents(a.ctx, a.tenant, r.ID, 1, []task.Event{{Seq: task.EventSeq(1, 1), At: start, Kind: task.EventPhase, Text: "clone"}}))
	a.must(a.BeginExport(a.ctx, a.tenant, audit.Link{}, "2026-11-22"))
	a.must(a.EndExport(a.ctx, a.tenant, audit.Link{Sequence: 1, Ref: audit.Ref{Day: "2026-11-22", SHA256: "a's"}}))
	a.must(a.BeginExport(a.ctx, a.tenant, audit.Link{Sequence: 1}, "2026-11-23"))
	_, err := a.ChangeTenant(a.ctx, a.tenant, by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) {
		return tn.Apply(tenant.Change{Plan: new("free")})
	})
	a.must(err)
	_, err = a.BindCustomer(a.ctx, a.tenant, "cus_a", by("billing.checkout"))
	a.must(err)
	before := snapshot(a, tk.ID, r.ID)

	b := benchOn(t, a.Table, a.clock) // the stranger, on the same table
	ctx, who := b.ctx, b.tenant
	later := start.Add(time.Hour)
	notFound := func(err error) bool { return errors.Is(err, table.ErrNotFound) }
	refused := func(err error) bool { return notFound(err) || errors.Is(err, table.ErrStale) }
	rows := map[string]func() bool{
		"Task":   func() bool { _, err := b.Task(ctx, who, tk.ID); return notFound(err) },
		"Prompt": func() bool { _, err := b.Prompt(ctx, who, tk.ID); return notFound(err) },
		"Run":    func() bool { _, err := b.Run(ctx, who, r.ID); return notFound(err) },
		"Tasks": func() bool {
			got, _, err := b.Tasks(ctx, who, table.TaskRange{}, 10)
			return err == nil && len(got) == 0
		},
		"RunEvents": func() bool {
			got, _, err := b.RunEvents(ctx, who, r.ID, 0, 10)
			for _, e := range got {
				err = errors.Join(err, errorIf(e.Text != "forged")) // its own, of the row PutEvents
			}
			return err == nil
		},
		"Queue":        func() bool { got, err := b.Queue(ctx, who, 10); return err == nil && len(got) == 0 },
		"Answered":     func() bool { return b.Answered(ctx, who, "idem", "hash") == nil },
		"Usage":        func() bool { got, err := b.Usage(ctx, who, start, later); return err == nil && len(got) == 0 },
		"Admitted":     func() bool { got, err := b.Admitted(ctx, who, start, later); return err == nil && len(got) == 0 },
		"WarnOfQuota":  func() bool { w, err := b.WarnOfQuota(ctx, who, start, 1); return err == nil && w == 0 },
		"CountRequest": func() bool { _, err := b.CountRequest(ctx, who, 5); return err == nil },
		"NoteRefusal": func() bool {
			return b.NoteRefusal(ctx, who, "forged", audit.Event{At: start, Action: "request.refused", Actor: "test"}) == nil
		},
		"AuditTrail": func() bool {
			got, err := b.AuditTrail(ctx, who, 10)
			for _, e := range got {
				err = errors.Join(err, errorIf(e.Actor != "test")) // its own
			}
			return err == nil
		},
		"AuditEvents": func() bool {
			got, _, err := b.AuditEvents(ctx, who, table.AuditRange{Action: "tenant.create"}, 10)
			return err == nil && len(got) == 1 && got[0].Actor == "test"
		},
		"AuditBetween": func() bool {
			for e, err := range b.AuditBetween(ctx, who, start, later) {
				if err != nil || e.Actor != "test" {
					return false
				}
			}
			return true
		},
		"ExportHead": func() bool {
			head, begun, err := b.ExportHead(ctx, who)
			return err == nil && head.Sequence == 0 && begun != "2026-11-22"
		},
		"Exports": func() bool {
			got, _, err := b.Exports(ctx, who, 0, 10)
			for _, l := range got {
				err = errors.Join(err, errorIf(l.SHA256 == "a's"))
			}
			return err == nil
		},
		"EndExport": func() bool {
			return errors.Is(b.EndExport(ctx, who, audit.Link{Sequence: 2, Ref: audit.Ref{Day: "2026-11-23", SHA256: "forged"}}), table.ErrStale)
		},
		"BeginExport": func() bool { return b.BeginExport(ctx, who, audit.Link{Sequence: 7}, "2026-11-23") == nil },
		"LedgerRows":  func() bool { got, err := b.LedgerRows(ctx, who, 10); return err == nil && len(got) == 0 },
		"DayMeter":    func() bool { n, err := b.DayMeter(ctx, who, start); return err == nil && n == 0 },
		"Standing": func() bool {
			s, err := b.Standing(ctx, who)
			return err == nil && s.Load.Waiting == 0 && s.Load.Running == 0 // its own, which its changes of plan made
		},
		"InflightOf":    func() bool { got, err := b.InflightOf(ctx, who); return err == nil && len(got) == 0 },
		"MarkQuiet":     func() bool { return errors.Is(b.MarkQuiet(ctx, who), table.ErrStale) },
		"BeginRemoval":  func() bool { return errors.Is(b.BeginRemoval(ctx, who), table.ErrStale) },
		"RemoveRows":    func() bool { _, err := b.RemoveRows(ctx, who, later); return errors.Is(err, table.ErrStale) },
		"DeleteSecrets": func() bool { return b.DeleteSecrets(ctx, who, by("secret.delete")) == nil },
		"EndRemoval":    func() bool { return errors.Is(b.EndRemoval(ctx, who, by("tenant.remove")), table.ErrStale) },
		"TrailExported": func() bool { _, whole, err := b.TrailExported(ctx, who); return err == nil && !whole },
		"Tenant":        func() bool { got, err := b.Tenant(ctx, who); return err == nil && got.ID == who },
		"Secret":        func() bool { _, err := b.Secret(ctx, who, "OPENAI_API_KEY"); return notFound(err) },
		"StartRun": func() bool {
			_, _, err := b.StartRun(ctx, who, table.Start{Entry: table.QueueEntry{Run: queued.ID, Task: tk.ID}, Cap: 9, LeaseUntil: later})
			return refused(err)
		},
		"Park": func() bool {
			seen, err := a.Standing(ctx, a.tenant)
			a.must(err)
			return refused(b.Park(ctx, who, seen.Load)) && parkedNothing(a)
		},
		"BeginAttempt": func() bool {
			_, err := b.BeginAttempt(ctx, who, r.ID, 1, "stolen", true, time.Minute, later)
			return notFound(err)
		},
		"SetContainer": func() bool { return notFound(b.SetContainer(ctx, who, r.ID, 1, "arn")) },
		"Claim": func() bool {
			_, err := b.Claim(ctx, who, r.ID, 1, "nonce", later, by("run.claim"))
			return notFound(err)
		},
		"Heartbeat": func() bool {
			_, err := b.Heartbeat(ctx, who, r.ID, 1, "nonce", task.Spend{}, later)
			return notFound(err)
		},
		"StoreResult": func() bool {
			_, err := b.StoreResult(ctx, who, r.ID, 1, "nonce", success())
			return notFound(err)
		},
		"EndAttempt": func() bool {
			_, err := b.EndAttempt(ctx, who, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, At: later})
			return notFound(err)
		},
		"EndUnclaimed": func() bool {
			_, err := b.EndUnclaimed(ctx, who, r.ID, 1, task.AttemptEnd{Cause: task.ContainerStopped, At: later})
			return notFound(err)
		},
		"PutOffLook":  func() bool { return notFound(b.PutOffLook(ctx, who, r.ID, 1, later)) },
		"ExtendLease": func() bool { return notFound(b.ExtendLease(ctx, who, r.ID, later)) },
		"PinCommit":   func() bool { _, err := b.PinCommit(ctx, who, tk.ID, "c0ffee"); return notFound(err) },
		"PutEvents": func() bool {
			err := b.PutEvents(ctx, who, r.ID, 1, []task.Event{{Seq: task.EventSeq(1, 2), At: start, Kind: task.EventMessage, Text: "forged"}})
			return err == nil // it lands under the writer's own partition
		},
		"Settle": func() bool {
			_, err := b.Settle(ctx, who, table.Settlement{Run: r, Decision: task.Decision{Next: task.NextDone, End: task.Failed}, Now: later})
			return notFound(err)
		},
		"RequestCancel": func() bool {
			_, err := b.RequestCancel(ctx, who, r.ID, table.By{Audit: audit.Event{ID: id.New(id.Audit, start)}})
			return notFound(err)
		},
		"RevokeKey": func() bool {
			_, err := b.RevokeKey(ctx, who, a.caller.KeyID, by("key.revoke"))
			return notFound(err)
		},
		"RotateKey": func() bool {
			_, err := b.RotateKey(ctx, who, a.caller.KeyID, later, by("key.rotate"), always(table.Key{ID: "key_y", Hash: "y", CreatedAt: start}))
			return notFound(err)
		},
		"Keys": func() bool {
			got, _, err := b.Keys(ctx, who, "", 10)
			return err == nil && len(got) == 1 && got[0].ID == b.caller.KeyID
		},
		"CreateKey": func() bool {
			k := table.Key{ID: "key_x", Hash: a.caller.KeyHash, Entitlement: b.caller.Entitlement, CreatedAt: start}
			return errors.Is(b.CreateKey(ctx, who, k, by("key.create")), table.ErrExists)
		},
		"ChangeTenant": func() bool {
			got, err := b.ChangeTenant(ctx, who, by("tenant.update"), func(tn tenant.Tenant) (tenant.Tenant, error) { return tn, nil })
			return err == nil && got.ID == who
		},
		"Intend": func() bool {
			stolen := by("billing.plan")
			stolen.KeyHash = a.caller.KeyHash
			return errors.Is(b.Intend(ctx, who, stolen), table.ErrKeyRevoked)
		},
		"Billing": func() bool { got, err := b.Billing(ctx, who); return err == nil && got == tenant.Billing{} },
		"BindCustomer": func() bool {
			free := func(tn tenant.Tenant) (tenant.Tenant, error) { return tn.Apply(tenant.Change{Plan: new("free")}) }
			_, err := b.ChangeTenant(ctx, who, by("tenant.update"), free)
			b.must(err)
			_, err = b.BindCustomer(ctx, who, "cus_a", by("billing.checkout"))
			return errors.Is(err, table.ErrExists)
		},
		"Entitle": func() bool {
			_, _, err := b.Entitle(ctx, who, table.Look{Customer: "cus_a", FetchedAt: later}, by("billing.sync"))
			return errors.Is(err, table.ErrStale)
		},
		"Secrets": func() bool {
			got, err := b.Secrets(ctx, who)
			for _, s := range got {
				err = errors.Join(err, errorIf(s.Name != "XAI_API_KEY")) // its own, of the row PutSecret
			}
			return err == nil
		},
		"Note": func() bool {
			borrowed := by("secret.check")
			borrowed.KeyHash = a.caller.KeyHash
			return errors.Is(b.Note(ctx, who, borrowed), table.ErrKeyRevoked)
		},
		"SecretRows": func() bool {
			got, _, err := b.SecretRows(ctx, who)
			for _, s := range got {
				err = errors.Join(err, errorIf(s.Name != "XAI_API_KEY"))
			}
			return err == nil
		},
		"LeaseDeposit": func() bool {
			return b.LeaseDeposit(ctx, who, "another", start.Add(time.Hour), by("secret.put")) == nil // though a's is leased
		},
		"CommitDeposit": func() bool {
			return errors.Is(b.CommitDeposit(ctx, who, lease, table.DepositChange{}, by("secret.put")), table.ErrStale)
		},
		"MoveDeposit":   func() bool { return errors.Is(b.MoveDeposit(ctx, who, lease, table.Deposit{}), table.ErrStale) },
		"EndLease":      func() bool { return b.EndLease(ctx, who, lease) == nil },
		"ForgetEmptied": func() bool { return b.ForgetEmptied(ctx, who, 0) == nil },
		"DeleteSecret":  func() bool { return notFound(b.DeleteSecret(ctx, who, "OPENAI_API_KEY", by("secret.delete"))) },
		"PutSecret": func() bool {
			return b.PutSecret(ctx, who, table.Sealed{Name: "XAI_API_KEY", Version: 1, SetAt: start}, by("secret.put")) == nil
		},
		"Admit": func() bool {
			stolen := b.admission(1)
			stolen.Caller = a.caller // a's key for b's tenant
			return errors.Is(b.Admit(ctx, who, stolen), table.ErrKeyRevoked)
		},
	}
	methods := reflect.TypeOf(b.Table)
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		row, ok := rows[name]
		switch {
		case open[name] != "":
		case !ok:
			t.Errorf("%s has no row: is it isolated?", name)
		case !row():
			t.Errorf("%s reached another tenant's things, or refused otherwise than as not found", name)
		}
	}
	if err := a.LeaseDeposit(a.ctx, a.tenant, "a third", start.Add(time.Hour), by("secret.put")); !errors.Is(err, table.ErrLeased) {
		t.Errorf("the stranger ended a's lease: %v", err)
	}
	if after := snapshot(a, tk.ID, r.ID); !reflect.DeepEqual(before, after) {
		t.Errorf("the stranger changed something:\nbefore %+v\n after %+v", before, after)
	}
}

// parkedNothing tells whether the tenant is still in the waiting index.
func parkedNothing(a *bench) bool {
	hints, err := a.Waiting(a.ctx, 10)
	a.must(err)
	for _, h := range hints {
		if h.Tenant == a.tenant {
			return true
		}
	}
	return false
}

// snapshot is all that a tenant can see of its things.
func snapshot(a *bench, taskID, runID string) []any {
	tk, err := a.Task(a.ctx, a.tenant, taskID)
	a.must(err)
	s, err := a.Standing(a.ctx, a.tenant)
	a.must(err)
	events, _, err := a.RunEvents(a.ctx, a.tenant, runID, 0, 100)
	a.must(err)
	trail, err := a.AuditTrail(a.ctx, a.tenant, 100)
	a.must(err)
	sealed, err := a.Secret(a.ctx, a.tenant, "OPENAI_API_KEY")
	a.must(err)
	k, err := a.KeyByHash(a.ctx, a.caller.KeyHash)
	a.must(err)
	head, begun, err := a.ExportHead(a.ctx, a.tenant)
	a.must(err)
	return []any{tk, s, events, trail, sealed, k, head, begun}
}

func errorIf(wrong bool) error {
	if wrong {
		return errors.New("another tenant's")
	}
	return nil
}
