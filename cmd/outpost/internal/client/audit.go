package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// AuditEvent is something that was changed, or was refused.
type AuditEvent struct {
	ID        string        `json:"id"`
	At        time.Time     `json:"at"`
	Action    string        `json:"action"`
	Actor     string        `json:"actor"`
	Target    string        `json:"target"`
	RequestID string        `json:"request_id,omitempty"`
	Address   string        `json:"address,omitempty"`
	Detail    string        `json:"detail,omitempty"`
	Changes   []AuditChange `json:"changes,omitempty"`
	Count     int           `json:"count"`
}

// AuditChange is a field before and after.
type AuditChange struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// AuditFilter says which events are listed; what is empty says nothing.
type AuditFilter struct {
	Action       string
	Since, Until time.Time // of Since or later, before Until
}

// Audit returns the newest n events that pass a filter, or all when there are
// fewer.
func (c *Client) Audit(ctx context.Context, f AuditFilter, n int) ([]AuditEvent, error) {
	q := TaskFilter{Since: f.Since, Until: f.Until}.query()
	if f.Action != "" {
		q.Set("action", f.Action)
	}
	return pages[AuditEvent](ctx, c, "/v1/audit", q, n)
}

// AuditHead names an export of a tenant's audit trail.
type AuditHead struct {
	Sequence       int    `json:"sequence"`
	Day            string `json:"day"`
	ManifestSHA256 string `json:"manifest_sha256"`
}

// AuditExport is an export with where its parts are read, for some minutes.
type AuditExport struct {
	AuditHead
	ManifestURL string `json:"manifest_url"`
	FileURL     string `json:"file_url"`
}

// AuditExports is a page of a tenant's exports, the oldest first.
type AuditExports struct {
	Data       []AuditExport `json:"data"`
	NextCursor string        `json:"next_cursor"`
	HasMore    bool          `json:"has_more"`
	Head       *AuditHead    `json:"head"` // the newest; nil: there is none
}

// AuditExports returns the page of a cursor; empty for the first one. Only the
// operator's key may read it.
func (c *Client) AuditExports(ctx context.Context, tenant, cursor string) (AuditExports, error) {
	q := url.Values{}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	var p AuditExports
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/tenants/" + url.PathEscape(tenant) + "/audit-exports", query: q}, &p)
	return p, err
}

// Read hands what lies at a signed URL to read, without the API key, and tells
// whether anything lies there. read may be called again, after an answer that
// broke off.
func (c *Client) Read(ctx context.Context, from string, read func(io.Reader) error) (found bool, err error) {
	for try := 1; ; try++ {
		found, err := c.readOnce(ctx, from, read)
		if err == nil || ctx.Err() != nil {
			return found, errors.Join(err, ctx.Err())
		}
		pause, again := c.pause(try, err)
		if !again {
			return false, err
		}
		select {
		case <-c.clock.After(pause):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

func (c *Client) readOnce(ctx context.Context, from string, read func(io.Reader) error) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return false, errors.New("the API named a URL that is none")
	}
	req.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(req)
	if err != nil {
		return false, &Unreachable{Base: req.URL.Host, cause: bare(err)}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
		switch {
		case err != nil:
			return false, &Unreachable{Base: req.URL.Host, cause: err}
		case res.StatusCode >= http.StatusInternalServerError:
			return false, &Unreachable{Base: req.URL.Host, cause: fmt.Errorf("HTTP %d", res.StatusCode)}
		case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusForbidden && !strings.Contains(string(text), "expired"):
			return false, nil // S3 denies what is not there to who may not list
		}
		return false, fmt.Errorf("%s refuses a signed URL (HTTP %d)", req.URL.Host, res.StatusCode)
	}
	if err := read(res.Body); err != nil {
		return false, &Unreachable{Base: req.URL.Host, cause: fmt.Errorf("the answer broke off: %w", err)}
	}
	return true, nil
}
