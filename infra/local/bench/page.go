package main

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// page is docs/benchmarks.md as it grows.
type page struct{ strings.Builder }

func (p *page) say(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// row writes a row of a table.
func (p *page) row(cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = fmt.Sprint(c)
	}
	p.say("| %s |", strings.Join(text, " | "))
}

// head writes the head of a table.
func (p *page) head(title string, columns ...any) {
	p.say("\n## %s\n", title)
	p.row(columns...)
	p.say("|%s", strings.Repeat("---|", len(columns)))
}

func (p *page) machine() {
	p.say("# Benchmarks\n\nWritten by `make bench` on %s: %s, %d cores, %s, %s. The local target: what is counted holds on AWS too, what is timed does not.",
		time.Now().UTC().Format(time.DateOnly), runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), processor(), runtime.Version())
}

func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(name), ":"))
		}
	}
	return "unknown processor"
}

// demo times make demo, warm.
func (p *page) demo(ctx context.Context, root string) error {
	var took []time.Duration
	for range 3 {
		cmd := exec.CommandContext(ctx, filepath.Join(root, "build", "demo"))
		cmd.Dir = root
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("the demo: %w: %s", err, out)
		}
		took = append(took, time.Since(began))
	}
	p.head("The demo, warm", "", "min", "median", "max")
	slices.Sort(took)
	p.row("`make demo` without building, s", seconds(took[0]), seconds(took[1]), seconds(took[2]))
	return nil
}

// tests times make test and notes its largest process, with warm caches and,
// when COLD=1, once with an empty build cache.
func (p *page) tests(ctx context.Context, root string) error {
	p.head("`make test`", "build cache", "s", "largest process, MB")
	measure := func(name string, env ...string) error {
		cmd := exec.CommandContext(ctx, "make", "test")
		cmd.Dir, cmd.Env = root, append(os.Environ(), env...)
		began := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("make test: %w: %s", err, out[max(0, len(out)-2000):])
		}
		usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		p.row(name, seconds(time.Since(began)), usage.Maxrss>>10)
		return nil
	}
	if os.Getenv("COLD") == "1" {
		cache, err := os.MkdirTemp("", "bench-cache-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(cache)
		if err := measure("empty", "GOCACHE="+cache); err != nil {
			return err
		}
	}
	return measure("warm")
}

// lines counts the hand-written lines of infra/local.
func (p *page) lines(root string) error {
	byDir := map[string]int{}
	base := filepath.Join(root, "infra", "local")
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, err := filepath.Rel(base, filepath.Dir(path))
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			byDir[strings.Split(rel, string(filepath.Separator))[0]]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	fence, tools := 0, 0
	var inside, outside []string
	for dir, n := range byDir {
		if slices.Contains([]string{"provider", "agents", "demo", "demorepo", "bench", "install", "sdktest", "guarantee", "prove"}, dir) {
			tools += n
			outside = append(outside, fmt.Sprintf("%s %d", dir, n))
		} else {
			fence += n
			inside = append(inside, fmt.Sprintf("%s %d", strings.Replace(dir, ".", "main", 1), n))
		}
	}
	slices.Sort(inside)
	slices.Sort(outside)
	p.head("Lines of infra/local, with comments, without tests", "", "lines", "by folder")
	p.row("in place of AWS (the fence: about 2,500)", fence, strings.Join(inside, ", "))
	p.row("scripted provider, demo, benchmarks, proofs, installation", tools, strings.Join(outside, ", "))
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
