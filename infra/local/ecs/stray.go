package ecs

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// killStrays kills every process whose TMPDIR or HOME lies in a folder, until
// there is none: one that is killed may just have started another.
func killStrays(dir string) {
	for range 1000 { // one that cannot die yet must not hold Outpost up
		found := strays(dir)
		if len(found) == 0 {
			return
		}
		for _, pid := range found {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func strays(dir string) []int {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	var found []int
	for _, file := range files {
		env, err := os.ReadFile(file) // empty once the process is dead
		if err != nil {
			continue
		}
		for variable := range bytes.SplitSeq(env, []byte{0}) {
			name, value, _ := strings.Cut(string(variable), "=")
			if (name == "TMPDIR" || name == "HOME") && strings.HasPrefix(value+"/", dir+"/") {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				found = append(found, pid)
				break
			}
		}
	}
	return found
}

// remove removes a folder with all that is in it, folders that nobody may write
// to (Go's module cache makes such) included.
func remove(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
