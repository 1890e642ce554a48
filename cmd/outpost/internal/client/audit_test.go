package client

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What a bucket answers is read whole or not at all; what is not there is told
// apart from what could not be read.
func TestASignedURLIsReadWholeOrNotAtAll(t *testing.T) {
	const body = "the whole of it"
	whole := func(w http.ResponseWriter) { _, _ = io.WriteString(w, body) }
	half := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, body[:5])
	}
	says := func(status int, text string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { http.Error(w, text, status) }
	}
	for _, c := range []struct {
		why     string
		answers []func(http.ResponseWriter) // the last one stays
		found   bool
		fault   string // part of the error; empty for none
		tries   int
	}{
		{"all is well", []func(http.ResponseWriter){whole}, true, "", 1},
		{"it breaks off once", []func(http.ResponseWriter){half, whole}, true, "", 2},
		{"the bucket fails twice", []func(http.ResponseWriter){says(500, ""), says(503, ""), whole}, true, "", 3},
		{"it breaks off for ever", []func(http.ResponseWriter){half}, false, "broke off", maxTries},
		{"nothing is there", []func(http.ResponseWriter){says(404, "NoSuchKey")}, false, "", 1},
		{"nothing is there, as S3 says it to who may not list", []func(http.ResponseWriter){says(403, "AccessDenied")}, false, "", 1},
		{"the URL has ended", []func(http.ResponseWriter){says(403, "AccessDenied: Request has expired")}, false, "refuses a signed URL", 1},
		{"something else", []func(http.ResponseWriter){says(302, "")}, false, "refuses a signed URL", 1},
	} {
		t.Run(c.why, func(t *testing.T) {
			tries := 0
			api, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" {
					t.Error("the key was sent")
				}
				answer := c.answers[min(tries, len(c.answers)-1)]
				tries++
				answer(w)
			})
			var got bytes.Buffer
			found, err := api.Read(context.Background(), api.base+"/x", func(r io.Reader) error {
				got.Reset()
				_, err := io.Copy(&got, r)
				return err
			})
			if found != c.found || tries != c.tries || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("found %v, %v, after %d tries", found, err, tries)
			}
			if found && got.String() != body {
				t.Errorf("read %q", got.String())
			}
		})
	}
}
