package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// service is one Outpost, asked with one key.
type service struct {
	base, key string
	http      *http.Client
}

// patience is what one request may take: API Gateway gives up after 30 s.
const patience = 35 * time.Second

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

func newService(base, key string) *service {
	return &service{strings.TrimRight(base, "/"), key, &http.Client{Timeout: patience}}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// as asks with another key; an empty one asks without.
func (a *service) as(key string) *service { return &service{a.base, key, a.http} }

// ask makes one request. A path that begins with http is asked without the key:
// it is another service's.
func (a *service) ask(ctx context.Context, method, path string, body any, header ...string) (answer, error) {
	var r io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		r = bytes.NewReader(encoded)
	}
	address, who, foreign := a.base+path, a.base, strings.HasPrefix(path, "http")
	if foreign {
		address, who = path, "the artifact store" // whoever reads such a URL may use it
	}
	req, err := http.NewRequestWithContext(ctx, method, address, r)
	if err != nil {
		return answer{}, fmt.Errorf("%s has no usable URL", who)
	}
	if a.key != "" && !foreign {
		req.Header.Set("Authorization", "Bearer "+a.key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := a.http.Do(req)
	if err != nil {
		// Its own words quote the URL, and a redirect may have led to another one.
		var asked *url.Error
		if errors.As(err, &asked) {
			err = asked.Err
		}
		return answer{}, fmt.Errorf("%s does not answer: %w", who, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("%s broke off: %w", who, err)
	}
	return answer{res.StatusCode, res.Header, b}, nil
}

// want asks and fails on any other status. What came instead is told in the
// problem's own words.
func (a *service) want(ctx context.Context, status int, out any, method, path string, body any, header ...string) (answer, error) {
	got, err := a.ask(ctx, method, path, body, header...)
	if err != nil {
		return got, err
	}
	if got.status != status {
		var problem struct{ Title, Detail string }
		_ = json.Unmarshal(got.body, &problem) // API Gateway's own answers have another form
		said := strings.TrimSpace(problem.Title + " " + problem.Detail)
		if said == "" {
			said = "no problem is told"
		}
		return got, fmt.Errorf("%s %s answered %d, want %d: %s", method, path, got.status, status, said)
	}
	if out != nil {
		if err := json.Unmarshal(got.body, out); err != nil {
			return got, fmt.Errorf("%s %s answered no JSON: %w", method, path, err)
		}
	}
	return got, nil
}
