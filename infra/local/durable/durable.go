// Package durable keeps JSON documents in files that are whole after a crash of the process:
// a document is written beside its place and renamed.
package durable

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write stores a document at path, readable by its owner alone.
func Write(path string, doc any) error {
	body, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("durable: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("durable: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return fmt.Errorf("durable: %w", err)
	}
	_, err = f.Write(body)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("durable: write %s: %w", filepath.Base(path), err)
	}
	return nil
}

// Read loads the document at path; it leaves doc alone when there is none.
func Read(path string, doc any) error {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(body, doc)
	}
	if err != nil {
		return fmt.Errorf("durable: read %s: %w", filepath.Base(path), err)
	}
	return nil
}

// ReadAll calls each with the path of every document in a folder, and removes
// what a crash left half-written. Nobody may be writing there.
func ReadAll(dir string, each func(path string) error) error {
	leftovers, _ := filepath.Glob(filepath.Join(dir, ".tmp-*")) // the pattern is sound
	for _, p := range leftovers {
		_ = os.Remove(p)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return fmt.Errorf("durable: %w", err)
	}
	for _, p := range paths {
		if err := each(p); err != nil {
			return err
		}
	}
	return nil
}
