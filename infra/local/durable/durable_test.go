package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"outpost/infra/local/durable"
)

type doc struct{ Text string }

func TestADocumentIsWholeWhoeverReadsIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "demand")
	path := filepath.Join(dir, "a.json")
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for range 20 {
				var got doc
				if err := errors.Join(durable.Write(path, doc{strconv.Itoa(n)}), durable.Read(path, &got)); err != nil || got.Text == "" {
					t.Errorf("read %q, %v", got.Text, err)
				}
			}
		})
	}
	wg.Wait()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v, %v", files, err)
	}
}

func TestWhatACrashLeftIsNoDocument(t *testing.T) {
	dir := t.TempDir()
	if err := durable.Write(filepath.Join(dir, "a.json"), doc{"x"}); err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(dir, ".tmp-1")
	if err := os.WriteFile(leftover, []byte("{\"Te"), 0o600); err != nil {
		t.Fatal(err)
	}
	var seen []string
	if err := durable.ReadAll(dir, func(path string) error { seen = append(seen, filepath.Base(path)); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, []string{"a.json"}) {
		t.Errorf("read %v", seen)
	}
	if _, err := os.Stat(leftover); err == nil {
		t.Error("what a crash left is still there")
	}
}

func TestADocumentThatIsBrokenIsAnErrorAndNoneIsNot(t *testing.T) {
	dir := t.TempDir()
	got := doc{"as it was"}
	if err := durable.Read(filepath.Join(dir, "none.json"), &got); err != nil || got.Text != "as it was" {
		t.Errorf("no document: %q, %v", got.Text, err)
	}
	path := filepath.Join(dir, "a.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.Read(path, &got); err == nil {
		t.Error("a broken document was read")
	}
	if err := durable.Write(path, make(chan int)); err == nil {
		t.Error("what is no JSON was written")
	}
}
