package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// pipes connects a command's three files to readers and writers of this
// process.
type pipes struct {
	child  []*os.File // stdin, stdout, stderr of the command
	in     *os.File   // our ends
	out    [2]*os.File
	failed chan error // of a writer; the command is to be killed
	pumps  sync.WaitGroup
	err    error
	once   sync.Once
}

// connect opens the pipes of a command.
func connect(c Command) (*pipes, error) {
	p := &pipes{failed: make(chan error, 1)}
	open := func() error {
		if c.Stdin == nil {
			null, err := os.Open(os.DevNull)
			if err != nil {
				return err
			}
			p.child = append(p.child, null)
		} else {
			r, w, err := os.Pipe()
			if err != nil {
				return err
			}
			p.child, p.in = append(p.child, r), w
		}
		for i := range p.out {
			r, w, err := os.Pipe()
			if err != nil {
				return err
			}
			p.child, p.out[i] = append(p.child, w), r
		}
		return nil
	}
	if err := open(); err != nil {
		p.abandon()
		return nil, fmt.Errorf("open the command's pipes: %w", err)
	}
	return p, nil
}

// abandon closes everything, for a command that was not started.
func (p *pipes) abandon() {
	for _, f := range append(p.child, p.in, p.out[0], p.out[1]) {
		if f != nil {
			_ = f.Close()
		}
	}
}

// pump moves bytes until the command and all that hold its pipes have ended.
func (p *pipes) pump(c Command) {
	for _, f := range p.child {
		_ = f.Close()
	}
	if p.in != nil {
		go func() {
			// A command that does not read its input is none of our errors.
			_, _ = io.Copy(p.in, c.Stdin)
			_ = p.in.Close()
		}()
	}
	for i, w := range []io.Writer{c.Stdout, c.Stderr} {
		if w == nil {
			w = io.Discard
		}
		p.pumps.Add(1)
		go func() {
			defer p.pumps.Done()
			// Hidden behind a plain Writer, so that the copy keeps its own buffer.
			if _, err := io.Copy(struct{ io.Writer }{w}, p.out[i]); err != nil {
				p.once.Do(func() {
					p.err = err
					p.failed <- err
				})
			}
		}()
	}
}

// finish waits for the last output. Every descendant is dead by now, so the
// ends of the pipes are near.
func (p *pipes) finish() error {
	if p.in != nil {
		_ = p.in.Close() // ends a pump whose reader is gone
	}
	p.pumps.Wait()
	for _, f := range p.out {
		_ = f.Close()
	}
	return p.err
}

// find returns the path of a program by the PATH of an environment.
func find(program string, env []string) (string, error) {
	if strings.Contains(program, "/") {
		return program, nil
	}
	for _, v := range env {
		path, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if !filepath.IsAbs(dir) {
				continue // never from where the command happens to run
			}
			candidate := filepath.Join(dir, program)
			if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return candidate, nil
			}
		}
	}
	return "", errors.New("not found in PATH")
}
