package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"outpost/shared/runner"
	"outpost/shared/task"
)

// uploadTimeout bounds one try of one upload: 20 MiB at 1 Mbit/s, almost.
const uploadTimeout = 150 * time.Second

// urlTries is how often fresh URLs are asked for when the store refuses one.
const urlTries = 3

// Upload stores artifacts, whose paths are found by their names, and returns
// those that are stored.
func (c *Client) Upload(ctx context.Context, artifacts []task.Artifact, paths map[string]string) (stored []task.Artifact, err error) {
	left := artifacts
	for try := 0; len(left) > 0 && try < urlTries; try++ {
		var out runner.UploadsResponse
		if err := c.call(ctx, "uploads", runner.UploadsRequest{Artifacts: left}, &out); err != nil {
			return stored, err
		}
		if len(out.Uploads) != len(left) {
			return stored, fmt.Errorf("uploads: %d URLs for %d artifacts", len(out.Uploads), len(left))
		}
		var again []task.Artifact
		err = nil
		for i, a := range left {
			if putErr := c.put(ctx, out.Uploads[i], paths[a.Name], a.Size); putErr != nil {
				if ctx.Err() != nil {
					return stored, putErr
				}
				// An old URL, or one that the store does not like: ask for another.
				err = errors.Join(err, fmt.Errorf("upload %s: %w", a.Name, putErr))
				again = append(again, a)
				continue
			}
			stored = append(stored, a)
		}
		left = again
	}
	return stored, err
}

// put stores one file.
func (c *Client) put(ctx context.Context, to runner.Upload, path string, size int64) error {
	return c.persist(ctx, callPut, func() error {
		ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
		defer cancel()
		file, err := os.Open(path)
		if err != nil {
			return &Refusal{Call: callPut, Code: "unreadable"}
		}
		defer file.Close()
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, to.URL, file)
		if err != nil {
			return &Refusal{Call: callPut, Code: "bad_url"}
		}
		req.ContentLength = size
		for name, value := range to.Headers {
			req.Header.Set(name, value)
		}
		resp, err := c.HTTP.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
		switch {
		case resp.StatusCode/100 == 2:
			return nil
		case again(resp.StatusCode):
			return fmt.Errorf("the store answered %d", resp.StatusCode)
		}
		return &Refusal{Call: callPut, Status: resp.StatusCode}
	})
}
