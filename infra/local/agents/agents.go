// Package agents installs the agent CLIs that the local target runs: pinned by
// the lock files beside this one, in the user's cache folder, shared by every
// clone of Outpost.
package agents

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"outpost/infra/local/install"
	"outpost/shared/agent"
)

//go:embed lock requirements.txt
var files embed.FS

// What installing fetches, in megabytes, as measured; unpacked it is 1,030 and 690.
const (
	npmMegabytes   = 400
	aiderMegabytes = 120
)

// aider is the one agent that does not come from npm.
const aider = "aider"

// FromNPM lists the agents that need nothing but Node and npm.
func FromNPM() []string {
	return slices.DeleteFunc(agent.Names(), func(name string) bool { return name == aider })
}

// Lock is the set of npm packages that hold the agents.
func Lock() install.Lock {
	lock, err := fs.Sub(files, "lock")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return install.Lock{Name: "agents", Files: lock, Megabytes: npmMegabytes, Finish: finish}
}

// Install makes sure that the named agents are installed, all of FromNPM when
// none is named, and returns the folder that holds an executable for each of
// them, by its name. It says on progress how much it fetches before it does.
func Install(ctx context.Context, names []string, progress io.Writer) (binDir string, err error) {
	if len(names) == 0 {
		names = FromNPM()
	}
	for _, name := range names {
		if _, known := agent.Lookup(name); !known {
			return "", fmt.Errorf("there is no agent %q to install", name)
		}
	}
	if err := needNode(ctx); err != nil {
		return "", err
	}
	dir, err := install.NPM(ctx, Lock(), progress)
	if err != nil {
		return "", err
	}
	binDir = filepath.Join(dir, "node_modules", ".bin")
	if slices.Contains(names, aider) {
		if err := installAider(ctx, binDir, progress); err != nil {
			return "", err
		}
	}
	return binDir, nil
}

// needNode refuses a Node that the agents do not run on.
func needNode(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return errors.New("node is not on the PATH; the agents need Node 20 or newer")
	}
	version := strings.TrimSpace(string(out))
	var major int
	if _, err := fmt.Sscanf(version, "v%d.", &major); err != nil || major < 20 {
		return fmt.Errorf("the agents need Node 20 or newer, and this is %s", version)
	}
	return nil
}

// finish prunes what grok's installation has unpacked and needs no more, and
// starts each agent once: a CLI whose install script did not run is a stub.
func finish(ctx context.Context, dir string) error {
	packed, err := filepath.Glob(filepath.Join(dir, "node_modules", "@xai-official", "grok-*", "bin", "*.br"))
	if err != nil {
		return err
	}
	for _, path := range packed {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("prune grok: %w", err)
		}
	}
	home, err := os.MkdirTemp("", "outpost-agents-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	for _, name := range FromNPM() {
		cmd := exec.CommandContext(ctx, filepath.Join(dir, "node_modules", ".bin", name), "--version")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "GEMINI_CLI_NO_RELAUNCH=1"}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s does not start: %w: %s", name, err, lastLines(out))
		}
	}
	return nil
}

// installAider makes a virtual environment of Python beside the npm packages
// and links aider into binDir.
func installAider(ctx context.Context, binDir string, progress io.Writer) error {
	requirements, err := files.ReadFile("requirements.txt")
	if err != nil {
		return err
	}
	cache, err := install.Cache()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(requirements)
	dir := filepath.Join(cache, "aider-"+hex.EncodeToString(sum[:6]))
	if err := install.Once(dir, func(tmp string) error {
		fmt.Fprintf(progress, "Fetching aider, about %d MB, into %s …\n", aiderMegabytes, cache)
		return pip(ctx, tmp)
	}); err != nil {
		return fmt.Errorf("install aider: %w", err)
	}
	link := filepath.Join(binDir, aider)
	if to, err := os.Readlink(link); err == nil && to == filepath.Join(dir, aider) {
		return nil
	}
	// Made beside its place and renamed: another installer may do the same.
	tmp := filepath.Join(binDir, fmt.Sprintf(".aider-%d", os.Getpid()))
	if err := os.Symlink(filepath.Join(dir, aider), tmp); err != nil {
		return fmt.Errorf("install aider: %w", err)
	}
	return os.Rename(tmp, link)
}

// launcher starts aider out of the folder that holds it. The script that pip
// makes names the folder where it was installed, which has been renamed since.
const launcher = `#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/venv/bin/python" -m aider "$@"
`

func pip(ctx context.Context, dir string) error {
	requirements, err := files.ReadFile("requirements.txt")
	if err != nil {
		return err
	}
	list, venv := filepath.Join(dir, "requirements.txt"), filepath.Join(dir, "venv")
	if err := os.WriteFile(list, requirements, 0o644); err != nil {
		return err
	}
	python := filepath.Join(venv, "bin", "python")
	for _, args := range [][]string{
		{"python3", "-m", "venv", venv},
		{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", list},
		{python, "-m", "aider", "--version"},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			if errors.Is(err, exec.ErrNotFound) {
				return errors.New("python3 is not on the PATH; aider needs Python 3.10 to 3.12 with venv")
			}
			return fmt.Errorf("%s: %w: %s", strings.Join(args[1:min(4, len(args))], " "), err, lastLines(out))
		}
	}
	return os.WriteFile(filepath.Join(dir, aider), []byte(launcher), 0o755)
}

// lastLines is the end of what a tool printed, for one sentence.
func lastLines(out []byte) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte("; ")))
}
