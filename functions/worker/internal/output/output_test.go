package output_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"outpost/functions/worker/internal/output"
	"outpost/shared/redact"
)

func TestAFileIsScrubbedCutAndSummedUp(t *testing.T) {
	secret := "secret-" + strings.Repeat("s", 8)
	set := output.NewSet(t.TempDir(), redact.New(redact.Secrets{"S": secret}))
	f, err := set.Create("a.log", 1000, output.Cut)
	if err != nil {
		t.Fatal(err)
	}
	// The secret lies across two writes, and across the limit.
	for _, part := range []string{strings.Repeat("x", 995), secret[:4], secret[4:], strings.Repeat("y", 5000)} {
		if _, err := f.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	artifacts, paths, errs := set.Finished()
	if len(errs) > 0 || len(artifacts) != 1 {
		t.Fatalf("%v, %v", artifacts, errs)
	}
	data, err := os.ReadFile(paths["a.log"])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if artifacts[0].Size != int64(len(data)) || artifacts[0].SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v of %d bytes", artifacts[0], len(data))
	}
	if bytes.Contains(data, []byte(secret[:8])) || !bytes.Contains(data, []byte("is cut, ")) || len(data) > 1100 {
		t.Errorf("%d bytes: %s", len(data), data[990:])
	}
}

func TestEmptyAndDroppedFilesAreNoArtifacts(t *testing.T) {
	set := output.NewSet(t.TempDir(), redact.New(nil))
	if _, err := set.Create("empty", 10, output.Cut); err != nil {
		t.Fatal(err)
	}
	gone, err := set.Create("gone", 10, output.CutJSON)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	set.Drop(gone)
	set.Drop(gone)
	if artifacts, _, errs := set.Finished(); len(artifacts) > 0 || len(errs) > 0 {
		t.Errorf("%v, %v", artifacts, errs)
	}
	if _, err := gone.Write([]byte("x")); err == nil {
		t.Error("a closed file took more")
	}
}
