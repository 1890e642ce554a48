//go:build e2e

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// ignored are warnings of cfn-lint that do not fit, with reasons.
var ignored = []string{
	"W3010", // availability zones are named on purpose: synthesis looks nothing up
	"W3005", // CDK says twice that a function comes after its role
}

func TestE2ETheLinterIsContentWithEveryTemplate(t *testing.T) {
	venv, templates := t.TempDir(), t.TempDir()
	var files []string
	for _, name := range names {
		for stack, template := range clouds[name] {
			file := filepath.Join(templates, name+"-"+stack+".json")
			if err := os.WriteFile(file, template.raw, 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	if len(files) != 5*len(names) {
		t.Fatalf("%d templates", len(files))
	}
	lint := []string{filepath.Join(venv, "bin/cfn-lint"), "--non-zero-exit-code", "warning", "--ignore-checks"}
	for _, args := range [][]string{
		{"python3", "-m", "venv", venv},
		{filepath.Join(venv, "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"--no-deps", "--require-hashes", "--only-binary=:all:", "-r", "lint-requirements.txt"},
		append(append(append(lint, ignored...), "--"), files...),
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", filepath.Base(args[0]), err, out)
		}
	}
}
