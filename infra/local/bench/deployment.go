package main

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"time"

	"outpost/shared/topology"
)

// deployment weighs what is deployed to AWS and times the synthesis. What the
// workers' images weigh is in docs/worker-image.md.
func (p *page) deployment(ctx context.Context, root string) error {
	makes := func(args ...string) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, "make", args...)
		cmd.Dir = root
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("make %v: %w: %s", args, err, out[max(0, len(out)-2000):])
		}
		return time.Since(began), nil
	}
	if _, err := makes("build-aws"); err != nil {
		return err
	}
	p.head("Functions as deployed (linux/arm64)", "function", "binary, MB", "zip, MB")
	var whole []int64
	for _, f := range topology.Functions {
		binary, packed, err := weigh(filepath.Join(root, "build", "aws", "functions", path.Base(f.Name), "bootstrap"))
		if err != nil {
			return err
		}
		p.row(f.Name, megabytes(binary), megabytes(packed))
		whole = append(whole, packed)
	}
	slices.Sort(whole)
	p.say("\nThe largest zip has %s MB; Lambda takes 50.", megabytes(whole[len(whole)-1]))
	var took []time.Duration
	for range 3 {
		d, err := makes("synth", "ENV=dev")
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	slices.Sort(took)
	p.head("Synthesis", "", "min", "median", "max")
	p.row("`make synth` with its functions built before, s", seconds(took[0]), seconds(took[1]), seconds(took[2]))
	return nil
}

// weigh returns a file's size and what it has in a zip.
func weigh(file string) (size, packed int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	var out counter
	z := zip.NewWriter(&out)
	w, err := z.Create("bootstrap")
	if err != nil {
		return 0, 0, err
	}
	if size, err = io.Copy(w, f); err != nil {
		return 0, 0, err
	}
	if err := z.Close(); err != nil {
		return 0, 0, err
	}
	return size, int64(out), nil
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }
