package awsjson_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"outpost/infra/local/awsjson"
)

type word struct{ Text string }

func TestCallsAreAnsweredInTheProtocol(t *testing.T) {
	s := awsjson.Service{Name: "Echo", Operations: map[string]awsjson.Operation{
		"Say": awsjson.Op(func(_ context.Context, in word) (word, error) {
			switch in.Text {
			case "typed":
				return in, &awsjson.Error{Code: "NotSaid", Message: "no", Extra: map[string]any{"Why": "so"}}
			case "broken":
				return in, errors.New("inside")
			}
			return in, nil
		})}}
	for _, c := range []struct {
		why, target, body string
		status            int
		answer            map[string]any
	}{
		{"a call", "Echo_1.Say", `{"Text":"a"}`, 200, map[string]any{"Text": "a"}},
		{"a typed error", "Echo_1.Say", `{"Text":"typed"}`, 400, map[string]any{"__type": "NotSaid", "message": "no", "Why": "so"}},
		{"any other error", "Echo_1.Say", `{"Text":"broken"}`, 500, map[string]any{"__type": "InternalServerError", "message": "inside"}},
		{"a call that is not there", "Echo_1.Sing", `{}`, 400, map[string]any{"__type": "UnknownOperationException", "message": `the local Echo does not have the operation "Sing"`}},
		{"no call", "", `{}`, 400, map[string]any{"__type": "UnknownOperationException", "message": `the local Echo does not have the operation ""`}},
		{"no JSON", "Echo_1.Say", `{`, 400, nil},
		{"a field of another type", "Echo_1.Say", `{"Text":1}`, 400, nil},
		{"nothing", "Echo_1.Say", ``, 400, nil},
		{"too much", "Echo_1.Say", `{"Text":"` + strings.Repeat("x", 9<<20) + `"}`, 400, nil},
	} {
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
		req.Header.Set("X-Amz-Target", c.target)
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, req)
		var got map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Errorf("%s: %v", c.why, err)
		}
		if rec.Code != c.status || rec.Header().Get("X-Amzn-RequestId") == "" {
			t.Errorf("%s: status %d, header %v", c.why, rec.Code, rec.Header())
		}
		if c.answer == nil && got["__type"] != "SerializationException" {
			t.Errorf("%s: %v", c.why, got)
		}
		for k, v := range c.answer {
			if got[k] != v {
				t.Errorf("%s: %s is %v", c.why, k, got[k])
			}
		}
	}
}
