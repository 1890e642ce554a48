package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"outpost/shared/artifact"
	"outpost/shared/audit"
	"outpost/shared/table"
)

const maxFile = 1 << 30 // bytes

// tenant exports a tenant's days up to one, each once, in their order. The table
// fixes which day comes next before anything of it is stored; what is stored is
// never replaced; and the table's word ends it. So whoever comes after a crash, or
// at the same time, comes to the same chain.
func (e exporter) tenant(ctx context.Context, tenantID, through string) error {
	for {
		head, day, err := e.store.ExportHead(ctx, tenantID)
		if err != nil {
			return err
		}
		late, err := e.exported(ctx, tenantID, head, through)
		if err != nil {
			return err
		}
		if day == "" {
			if day, err = e.next(ctx, tenantID, head, late, through); err != nil || day == "" {
				return err
			}
			if err = e.store.BeginExport(ctx, tenantID, head, day); errors.Is(err, table.ErrStale) {
				continue
			} else if err != nil {
				return err
			}
		}
		if err := e.export(ctx, tenantID, head, day, late); err != nil {
			return fmt.Errorf("export %s: %w", day, err)
		}
	}
}

// lateness tells which events of the head's day the export has; nil: nobody looks.
type lateness map[string]bool

// exported reads which events the head's file has, while it may be that some come
// late.
func (e exporter) exported(ctx context.Context, tenantID string, head audit.Link, through string) (lateness, error) {
	if head.Sequence == 0 {
		return nil, nil
	}
	headDay, last, err := days(head.Day, through)
	if err != nil || last.Sub(headDay) > audit.LateDays*aDay {
		return nil, err
	}
	file, err := e.objects.Get(ctx, artifact.AuditFile(tenantID, head.Day), maxFile)
	if err != nil {
		return nil, fmt.Errorf("read the export of %s: %w", head.Day, err)
	}
	has := lateness{}
	err = audit.Lines(bytes.NewReader(file), func(_ []byte, l audit.Line) error {
		has[l.ID] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the export of %s: %w", head.Day, err)
	}
	return has, nil
}

// next returns the first day behind the head that has something to export, no
// later than through; empty for none. Events that came too late for the head's day
// go with the day after it.
func (e exporter) next(ctx context.Context, tenantID string, head audit.Link, has lateness, through string) (string, error) {
	from, last, err := days(head.Day, through)
	if err != nil {
		return "", err
	}
	if head.Sequence > 0 && has == nil {
		from = from.Add(aDay)
	}
	for event, err := range e.store.AuditBetween(ctx, tenantID, from, last.Add(aDay)) {
		if err != nil {
			return "", err
		}
		switch day := event.Day(); {
		case day > head.Day:
			return day, nil
		case !has[event.ID]:
			if after := audit.Day(from.Add(aDay)); after <= through {
				return after, nil
			}
			return "", nil // tomorrow
		}
	}
	return "", nil
}

// export stores a day's file and manifest and makes them the head.
func (e exporter) export(ctx context.Context, tenantID string, head audit.Link, day string, has lateness) error {
	made, err := e.file(ctx, tenantID, head, day, has)
	if err != nil {
		return err
	}
	file, err := e.objects.PutOnce(ctx, artifact.AuditFile(tenantID, day), made)
	if err != nil {
		return err
	}
	events, err := within(file, made)
	if err != nil {
		return err
	}
	manifest, err := audit.After(head, tenantID, day, file, events).Encode()
	if err != nil {
		return err
	}
	stored, err := e.objects.PutOnce(ctx, artifact.AuditManifest(tenantID, day), manifest)
	if err != nil {
		return err
	}
	if !bytes.Equal(stored, manifest) {
		return errors.New("another manifest is stored, that no export of this chain wrote")
	}
	return e.store.EndExport(ctx, tenantID, audit.Link{Sequence: head.Sequence + 1, Ref: audit.Ref{Day: day, SHA256: audit.Hash(manifest)}})
}

// file makes a day's file: what came too late for the head's day, and the day.
func (e exporter) file(ctx context.Context, tenantID string, head audit.Link, day string, has lateness) ([]byte, error) {
	headDay, from, err := days(head.Day, day)
	if err != nil {
		return nil, err
	}
	f := audit.NewFile(tenantID)
	add := func(from time.Time, wanted func(audit.Event) bool) error {
		for event, err := range e.store.AuditBetween(ctx, tenantID, from, from.Add(aDay)) {
			if err != nil {
				return err
			}
			if !wanted(event) {
				continue
			}
			if err := f.Add(event); err != nil {
				return err
			}
		}
		return nil
	}
	if has != nil {
		if err := add(headDay, func(e audit.Event) bool { return !has[e.ID] }); err != nil {
			return nil, err
		}
	}
	if err := add(from, func(audit.Event) bool { return true }); err != nil {
		return nil, err
	}
	return f.Close()
}

// within counts the events of a stored file. One that is not the file made now
// was made by an earlier try, before a late event; a line of it that is none of
// the table's is an error.
func within(stored, made []byte) (events int, err error) {
	known := map[string]bool{}
	same := bytes.Equal(stored, made)
	if !same {
		err := audit.Lines(bytes.NewReader(made), func(text []byte, _ audit.Line) error {
			known[string(text)] = true
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	err = audit.Lines(bytes.NewReader(stored), func(text []byte, l audit.Line) error {
		events++
		if !same && !known[string(text)] {
			return fmt.Errorf("the stored file holds %s otherwise than the table", l.ID)
		}
		return nil
	})
	return events, err
}

// days are the first moments of two days; of an empty one the zero time.
func days(a, b string) (first, second time.Time, err error) {
	if first, err = audit.Begin(a); err != nil {
		return first, second, err
	}
	second, err = audit.Begin(b)
	return first, second, err
}
