package install_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"outpost/infra/local/install"
)

// empty is a lock of no package: npm has nothing to fetch for it.
var empty = install.Lock{Name: "nothing", Megabytes: 7, Files: fstest.MapFS{
	"package.json":      {Data: []byte(`{"name":"nothing","private":true}`)},
	"package-lock.json": {Data: []byte(`{"name":"nothing","lockfileVersion":3,"requires":true,"packages":{"":{"name":"nothing"}}}`)},
}}

func TestNPMInstallsOnceAndSaysHowMuchItFetches(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var said bytes.Buffer
	dir, err := install.NPM(t.Context(), empty, &said)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "package-lock.json")); err != nil || !strings.Contains(said.String(), "about 7 MB") {
		t.Errorf("%v, said %q", err, said.String())
	}
	said.Reset()
	if again, err := install.NPM(t.Context(), empty, &said); err != nil || again != dir || said.Len() != 0 {
		t.Errorf("the second time: %s, %v, said %q", again, err, said.String())
	}
}

func TestAMissingNPMIsOneSentence(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	_, err := install.NPM(t.Context(), empty, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "npm is not on the PATH") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

func TestAFailedInstallationLeavesNothing(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	broken := empty
	broken.Finish = func(context.Context, string) error { return errors.New("no space left") }
	if _, err := install.NPM(t.Context(), broken, io.Discard); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("%v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "outpost", "*nothing*")); len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
		t.Errorf("it left %q", left)
	}
	if _, err := install.NPM(t.Context(), empty, io.Discard); err != nil {
		t.Errorf("the next try: %v", err)
	}
}

func TestManyAtOnceFillOnceAndAllSeeItWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "tool-1")
	var fills atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			err := install.Once(dir, func(tmp string) error {
				fills.Add(1)
				return os.WriteFile(filepath.Join(tmp, "whole"), nil, 0o644)
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "whole")); err != nil {
				t.Errorf("seen before it was whole: %v", err)
			}
		})
	}
	wg.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("filled %d times", n)
	}
}
