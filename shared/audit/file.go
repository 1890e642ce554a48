package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Line is a line of an export.
type Line struct {
	Tenant string `json:"tenant"`
	Event
}

// File is the export of a tenant's day in the making: gzipped JSON lines. The
// same events in the same order give the same bytes.
type File struct {
	tenant string
	buffer bytes.Buffer
	gzip   *gzip.Writer
	events int
}

// NewFile returns a file without events.
func NewFile(tenant string) *File {
	f := &File{tenant: tenant}
	f.gzip = gzip.NewWriter(&f.buffer)
	return f
}

// Add adds an event.
func (f *File) Add(e Event) error {
	line, err := json.Marshal(Line{f.tenant, e})
	if err != nil {
		return fmt.Errorf("encode %s: %w", e.ID, err)
	}
	f.events++
	_, err = f.gzip.Write(append(line, '\n'))
	return err
}

// Events is how many were added.
func (f *File) Events() int { return f.events }

// Close ends the file and returns its bytes.
func (f *File) Close() ([]byte, error) {
	if err := f.gzip.Close(); err != nil {
		return nil, err
	}
	return f.buffer.Bytes(), nil
}

// Lines hands the lines of a file to f until it returns an error: each as it
// stands, and decoded.
func Lines(file io.Reader, f func(text []byte, l Line) error) error {
	z, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("it is not gzipped: %w", err)
	}
	r := bufio.NewReader(z)
	for {
		text, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("it breaks off: %w", err)
		}
		var l Line
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("a line is not JSON: %w", err)
		}
		if err := f(text, l); err != nil {
			return err
		}
	}
}

// Digest is what a file is known by.
type Digest struct {
	SHA256 string // hex
	Bytes  int64
	Events int
	Broken string // why its lines cannot be read, or are none of the tenant; empty for a good one
}

// DigestOf reads a file to its end. The error is the reader's.
func DigestOf(tenant string, file io.Reader) (Digest, error) {
	var d Digest
	sum := sha256.New()
	counted := &counter{r: io.TeeReader(file, sum)}
	err := Lines(counted, func(_ []byte, l Line) error {
		d.Events++
		if l.Tenant != tenant {
			return fmt.Errorf("the line of %s is of the tenant %s", l.ID, l.Tenant)
		}
		return nil
	})
	if counted.err != nil {
		return Digest{}, counted.err
	}
	if err != nil {
		d.Broken = err.Error()
	}
	if _, err := io.Copy(io.Discard, counted); err != nil { // what follows the gzip, or a fault in it
		return Digest{}, err
	}
	d.SHA256, d.Bytes = hex.EncodeToString(sum.Sum(nil)), counted.n
	return d, nil
}

// counter counts what is read and keeps an error that is not the end.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
