package main

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"outpost/cmd/outpost/internal/client"
)

// parseAgents reads names with optional models, as in codex:gpt-5.
func parseAgents(list []string) ([]client.NewAgent, error) {
	var agents []client.NewAgent
	for _, entry := range list {
		name, model, with := strings.Cut(strings.TrimSpace(entry), ":")
		if name == "" || (with && model == "") {
			return nil, usage("--agents has an entry without a name or model: write claude,codex:gpt-5 or all")
		}
		agents = append(agents, client.NewAgent{Name: name, Model: model})
	}
	return agents, nil
}

// repository returns a clone URL. A path becomes the file URL of the git
// repository that it lies in.
func repository(s string) (string, error) {
	local := s == "." || s == ".." || slices.ContainsFunc([]string{"/", "./", "../"}, func(p string) bool { return strings.HasPrefix(s, p) })
	if !local {
		return s, nil
	}
	start, err := filepath.Abs(s)
	if err != nil {
		return "", usage("the repository %s: %v", s, err)
	}
	if _, err := os.Stat(start); err != nil {
		return "", usage("there is no repository: %v", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, ".git")) || (exists(filepath.Join(dir, "HEAD")) && exists(filepath.Join(dir, "objects"))) {
			return (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String(), nil
		}
		if dir == filepath.Dir(dir) {
			return "", usage("%s is not in a git repository", start)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
