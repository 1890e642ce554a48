package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/shared/artifact"
	"outpost/shared/audit"
	"outpost/shared/settlement/settlementtest"
)

func TestADayIsExportedAnHourAfterItsEnd(t *testing.T) {
	w := newWorld(t)
	ten := w.tenant()
	var want []string
	for _, at := range []time.Time{noon, endOfDay.Add(-time.Millisecond), endOfDay, endOfDay.Add(49 * time.Hour)} {
		want = append(want, w.event(ten, at))
	}
	w.refused(ten, noon, 3)

	w.at(endOfDay.Add(time.Hour - time.Millisecond))
	w.export()
	if got := w.exports(ten); len(got) != 0 {
		t.Errorf("before the hour was over: %v", got)
	}
	w.at(endOfDay.Add(time.Hour))
	w.export()
	if got := w.exports(ten); !slices.Equal(got, []string{"2026-11-23"}) {
		t.Errorf("after the hour: %v", got)
	}
	w.at(endOfDay.Add(100 * time.Hour)) // the exporter was away for days
	w.export()
	if got := w.exports(ten); !slices.Equal(got, []string{"2026-11-23", "2026-11-24", "2026-11-26"}) {
		t.Errorf("days later: %v", got)
	}
	w.whole(ten)
	lines := w.lines(ten)
	for i, day := range []string{"2026-11-23", "2026-11-23", "2026-11-24", "2026-11-26"} {
		if l, ok := lines[want[i]]; !ok || l.day != day || l.Tenant != ten || l.Actor != "test" || l.Count != 1 {
			t.Errorf("the event of %s is exported as %+v", day, l)
		}
	}
	folded := 0
	for _, l := range lines {
		if l.Action == "request.refused" {
			folded = l.Count
		}
	}
	if folded != 3 {
		t.Errorf("three refusals are exported with the count %d", folded)
	}
}

// Each call of the exporter is its last one, or its answer is lost. The next one
// finishes the work, and nothing that was stored changes any more.
func TestAnExportThatIsCutOffAnywhereIsFinishedByTheNext(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for n := 0; ; n++ {
			w := newWorld(t)
			ten := w.tenant()
			for day := range 2 {
				w.event(ten, noon.Add(time.Duration(day)*aDay))
			}
			w.at(endOfDay.Add(aDay + time.Hour))
			cut := settlementtest.After(n)
			cut.Lost = lost
			err := w.through(cut).handle(t.Context())
			if !cut.Reached() {
				if err != nil || n < 15 {
					t.Fatalf("%d calls in all, the end is %v", n, err)
				}
				break
			}
			before := w.objects()
			w.at(w.clock.Now().Add(leaseTime))
			w.export()
			after := w.objects()
			for key, body := range before {
				if !bytes.Equal(after[key], body) {
					t.Fatalf("cut off after %d calls: %s was replaced", n, key)
				}
			}
			w.whole(ten)
			if len(after) != 4 {
				t.Fatalf("cut off after %d calls: %d objects", n, len(after))
			}
		}
	}
}

func TestManyExportersMakeOneChain(t *testing.T) {
	w := newWorld(t)
	ten := w.tenant()
	for day := range 6 {
		for range 5 {
			w.event(ten, noon.Add(time.Duration(day)*aDay))
		}
	}
	w.at(endOfDay.Add(5*aDay + time.Hour))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { // as if each held the lease
			if err := w.exporter.tenant(t.Context(), ten, "2026-11-28"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := w.exports(ten); len(got) != 6 {
		t.Errorf("exported: %v", got)
	}
	w.whole(ten)
	before := w.objects()
	for range 8 {
		wait.Go(func() { _ = w.exporter.handle(t.Context()) })
	}
	wait.Wait()
	if !maps.EqualFunc(before, w.objects(), bytes.Equal) {
		t.Error("a second round changed what was exported")
	}
}

func TestOneExporterHoldsTheLease(t *testing.T) {
	w := newWorld(t)
	ten := w.tenant()
	w.event(ten, noon)
	w.at(endOfDay.Add(2 * time.Hour))
	_, err := w.store.LeaseExport(t.Context(), "another", w.clock.Now().Add(leaseTime))
	w.must(err)
	w.export()
	if got := w.exports(ten); len(got) != 0 {
		t.Errorf("exported beside another one: %v", got)
	}
	w.at(w.clock.Now().Add(leaseTime)) // the other one died
	w.export()
	if got := w.exports(ten); len(got) != 1 {
		t.Errorf("after the lease: %v", got)
	}
}

// That comes later than any function lives; it is not lost all the same.
func TestAnEventThatCameTooLateIsExportedWithTheNextDay(t *testing.T) {
	for _, nextDay := range []bool{true, false} {
		t.Run(fmt.Sprint("something happens on the next day: ", nextDay), func(t *testing.T) {
			w := newWorld(t)
			ten := w.tenant()
			w.event(ten, noon)
			w.at(endOfDay.Add(time.Hour))
			w.export()
			late := w.event(ten, noon.Add(time.Hour))
			w.refused(ten, noon, 2)
			if nextDay {
				w.event(ten, endOfDay.Add(time.Hour))
			}
			w.export()
			if got := w.exports(ten); len(got) != 1 {
				t.Errorf("on the same day: %v", got)
			}
			w.at(endOfDay.Add(aDay + time.Hour))
			w.export()
			w.whole(ten)
			if l := w.lines(ten)[late]; l.day != "2026-11-24" || !l.At.Equal(noon.Add(time.Hour)) {
				t.Errorf("exported as %+v", l)
			}
			w.at(endOfDay.Add(2*aDay + time.Hour))
			w.export()
			if got := w.exports(ten); len(got) != 2 {
				t.Errorf("a day later: %v", got)
			}
		})
	}
}

func TestAnEventBetweenTwoTriesIsNotLost(t *testing.T) {
	w := newWorld(t)
	ten := w.tenant()
	w.event(ten, noon)
	w.at(endOfDay.Add(time.Hour))
	head, _, err := w.store.ExportHead(t.Context(), ten)
	w.must(err)
	w.must(w.store.BeginExport(t.Context(), ten, head, "2026-11-23"))
	file, err := w.exporter.file(t.Context(), ten, head, "2026-11-23", nil)
	w.must(err)
	_, err = w.bucket.PutOnce(t.Context(), artifact.AuditFile(ten, "2026-11-23"), file)
	w.must(err)
	// Here the first try ended.
	late := w.event(ten, noon.Add(time.Minute))
	w.export()
	if l, ok := w.lines(ten)[late]; ok {
		t.Errorf("a stored file has the event: %+v", l)
	}
	w.at(endOfDay.Add(aDay + time.Hour))
	w.export()
	w.whole(ten)
	if l := w.lines(ten)[late]; l.day != "2026-11-24" {
		t.Errorf("exported as %+v", l)
	}
}

// What somebody else put where an export belongs is never made part of a chain,
// nor replaced; and it stops no other tenant.
func TestAForeignObjectIsNotTakenForAnExport(t *testing.T) {
	for _, kind := range []string{"file", "lines", "manifest"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			first, second := w.tenant(), w.tenant()
			w.event(first, noon)
			w.event(second, noon)
			key, body := artifact.AuditFile(first, "2026-11-23"), []byte("forged")
			switch kind {
			case "lines":
				f := audit.NewFile(first)
				w.must(f.Add(audit.Event{ID: "aud_01KAR5G5M0000000000000000Z", At: noon, Action: "nothing.happened"}))
				var err error
				body, err = f.Close()
				w.must(err)
			case "manifest":
				key = artifact.AuditManifest(first, "2026-11-23")
			}
			_, err := w.bucket.PutOnce(t.Context(), key, body)
			w.must(err)
			w.at(endOfDay.Add(time.Hour))
			for range 2 { // it says so until somebody has looked
				if err := w.exporter.handle(t.Context()); err == nil || !strings.Contains(err.Error(), first) || strings.Contains(err.Error(), second) {
					t.Errorf("the exporter said %v", err)
				}
				w.at(w.clock.Now().Add(leaseTime))
			}
			if got := w.exports(first); len(got) != 0 || !bytes.Equal(w.objects()[key], body) {
				t.Errorf("exported: %v", got)
			}
			w.whole(second)
			w.remove(key)
			w.export()
			w.whole(first)
		})
	}
}

// A file of the head that is damaged must not keep later days from their export
// until their rows have gone.
func TestADamagedExportDoesNotStopTheChainForEver(t *testing.T) {
	w := newWorld(t)
	ten := w.tenant()
	w.event(ten, noon)
	w.at(endOfDay.Add(time.Hour))
	w.export()
	w.remove(artifact.AuditFile(ten, "2026-11-23"))
	w.event(ten, endOfDay.Add(time.Hour))
	w.at(endOfDay.Add(aDay + time.Hour))
	if err := w.exporter.handle(t.Context()); !errors.Is(err, artifact.ErrMissing) {
		t.Errorf("the exporter said %v", err)
	}
	w.at(endOfDay.Add((audit.LateDays+1)*aDay + time.Hour))
	w.export()
	if got := w.exports(ten); len(got) != 2 {
		t.Errorf("exported: %v", got)
	}
	if faults := w.verify(ten); len(faults) != 1 || faults[0].Day != "2026-11-23" {
		t.Errorf("found: %+v", faults)
	}
}

func TestARoundGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t)
	var tenants []string
	for range tenantsAtOnce + 2 {
		ten := w.tenant()
		w.event(ten, noon)
		tenants = append(tenants, ten)
	}
	w.at(endOfDay.Add(time.Hour))
	h := &hurry{Context: t.Context(), Table: w.store}
	w.must(exporter{h, w.bucket, w.clock}.handle(h))
	done := 0
	for _, ten := range tenants {
		done += len(w.exports(ten))
	}
	if done != tenantsAtOnce {
		t.Errorf("%d tenants were exported in a hurry", done)
	}
	w.export()
	for _, ten := range tenants {
		w.whole(ten)
	}
	if p, err := w.store.ExportProgress(t.Context()); err != nil || p.Done != "2026-11-23" {
		t.Errorf("progress %+v, %v", p, err)
	}
}
