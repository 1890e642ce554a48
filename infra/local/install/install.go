// Package install puts pinned npm packages into the user's cache folder, shared
// by every clone of Outpost: one folder a lock file, named by its hash, made
// beside its place and renamed, so that it is whole or not there.
package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Lock is a set of packages: package.json and package-lock.json at the root of
// Files.
type Lock struct {
	Name      string
	Files     fs.FS
	Megabytes int // what installing it fetches, about
	// Finish, when set, completes a fresh installation before others see it.
	Finish func(ctx context.Context, dir string) error
}

// Cache is the folder that installations share.
func Cache() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no cache folder: %w", err)
	}
	return filepath.Join(base, "outpost"), nil
}

// Dir returns where the lock's packages are or will be, and whether they are.
func (l Lock) Dir() (dir string, installed bool, err error) {
	cache, err := Cache()
	if err != nil {
		return "", false, err
	}
	lock, err := fs.ReadFile(l.Files, "package-lock.json")
	if err != nil {
		return "", false, fmt.Errorf("%s has no lock file: %w", l.Name, err)
	}
	sum := sha256.Sum256(lock)
	dir = filepath.Join(cache, l.Name+"-"+hex.EncodeToString(sum[:6]))
	_, err = os.Stat(dir)
	return dir, err == nil, nil
}

// NPM installs the lock's packages unless they are there, and returns the
// folder that holds node_modules. It says on progress what it fetches. Two at
// once wait for each other.
func NPM(ctx context.Context, l Lock, progress io.Writer) (string, error) {
	dir, installed, err := l.Dir()
	if err != nil || installed {
		return dir, err
	}
	err = Once(dir, func(tmp string) error {
		fmt.Fprintf(progress, "Fetching the %s, about %d MB, into %s …\n", l.Name, l.Megabytes, filepath.Dir(dir))
		if err := os.CopyFS(tmp, l.Files); err != nil {
			return err
		}
		if err := npm(ctx, tmp); err != nil {
			return err
		}
		if l.Finish != nil {
			return l.Finish(ctx, tmp)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("install the %s: %w", l.Name, err)
	}
	return dir, nil
}

// Once makes a folder of the cache unless it is there: fill fills a folder
// beside it, which is then renamed, so that dir is whole or not there. Two at
// once wait for each other, and one of them fills.
func Once(dir string, fill func(tmp string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// npm runs "npm install" and not "npm ci": the latter refuses a lock that lacks
// other platforms' optional packages, of which some are declared and were never
// published. Versions and integrity come from the lock all the same.
func npm(ctx context.Context, dir string) error {
	path, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("npm is not on the PATH; it comes with Node 20 or newer")
	}
	cmd := exec.CommandContext(ctx, path, "install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return fmt.Errorf("npm install: %w: %s", err, strings.Join(lines[max(0, len(lines)-5):], "; "))
	}
	return nil
}

// lock takes an exclusive lock that ends with the process.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Base(path), err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", filepath.Base(path), err)
	}
	return func() { f.Close() }, nil
}
