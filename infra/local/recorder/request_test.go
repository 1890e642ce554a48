package recorder_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"outpost/infra/local/recorder"
	"outpost/infra/local/sdktest"
)

// engine counts what reaches it and notes the host that was asked for.
type engine struct {
	requests atomic.Int64
	host     atomic.Value
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.requests.Add(1)
	e.host.Store(r.Host)
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, `{"MessageId":"1","MD5OfMessageBody":"bf21c90d61ae93e7ef2ac07b6fd1cbd4"}`)
}

func TestADuplicateReachesTheEngineTwiceAndTheCallerOnce(t *testing.T) {
	e, r := &engine{}, recorder.New()
	r.Handle("sqs", e)
	r.Inject(&recorder.Rule{Action: "SendMessage", Probability: 1, Effect: recorder.Duplicate})
	url, body := "http://queue/q", "{}"
	c := sqs.NewFromConfig(sdktest.Config(t, r), func(o *sqs.Options) { o.DisableMessageChecksumValidation = true })
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
		t.Fatal(err)
	}
	if n := e.requests.Load(); n != 2 || len(r.Calls()) != 1 {
		t.Errorf("the engine saw %d requests, %d are recorded", n, len(r.Calls()))
	}
}

func TestWhatTheCallerWasToldIsRecorded(t *testing.T) {
	for _, c := range []struct {
		rule   *recorder.Rule
		status int
	}{
		{&recorder.Rule{Effect: recorder.Delay}, 200},
		{&recorder.Rule{Effect: recorder.DropRequest}, 0},
		{&recorder.Rule{Effect: recorder.LoseAnswer}, 0},
		{&recorder.Rule{Effect: recorder.Fail, Code: "ThrottlingException"}, 400},
		{&recorder.Rule{Effect: recorder.Fail, Code: "InternalServerError", Status: 500}, 500},
	} {
		e, r := &engine{}, recorder.New()
		r.Handle("sqs", e)
		c.rule.Probability = 1
		r.Inject(c.rule)
		url := "http://queue/q"
		_, _ = sqs.NewFromConfig(sdktest.Config(t, r)).PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url})
		if calls := r.Calls(); len(calls) != 1 || calls[0].Status != c.status || calls[0].Action != "PurgeQueue" {
			t.Errorf("%s: recorded %+v", c.rule.Effect, calls)
		}
	}
}

// A signature covers the host, so the engine must see the one that was signed.
func TestASignedURLReachesItsEngineWithItsHost(t *testing.T) {
	e, r := &engine{}, recorder.New()
	behind := httptest.NewServer(e)
	defer behind.Close()
	if err := r.Forward("s3", behind.URL); err != nil {
		t.Fatal(err)
	}
	cfg := sdktest.Config(t, r)
	bucket, key := "bucket", "key"
	signed, err := s3.NewPresignClient(s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })).
		PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(signed.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if host := e.host.Load(); resp.StatusCode != 200 || host != strings.TrimPrefix(*cfg.BaseEndpoint, "http://") {
		t.Errorf("status %d, the engine saw the host %v", resp.StatusCode, host)
	}
}

func TestRequestsThatReachNobody(t *testing.T) {
	r := recorder.New()
	dead := httptest.NewServer(http.NotFoundHandler())
	if err := r.Forward("dynamodb", dead.URL); err != nil {
		t.Fatal(err)
	}
	dead.Close()
	server := httptest.NewServer(r)
	defer server.Close()
	for _, c := range []struct {
		why, authorization, body string
		status                   int
	}{
		{"unsigned", "", "{}", 400},
		{"signed for nobody", "AWS4-HMAC-SHA256 Credential=id/20261123/us-east-1/iam/aws4_request", "{}", 400},
		{"the engine is dead", "AWS4-HMAC-SHA256 Credential=id/20261123/us-east-1/dynamodb/aws4_request", "{}", 502},
		{"a body that is null", "AWS4-HMAC-SHA256 Credential=id/20261123/us-east-1/dynamodb/aws4_request", "null", 502},
		{"a body that is no JSON", "AWS4-HMAC-SHA256 Credential=id/20261123/us-east-1/dynamodb/aws4_request", "{", 502},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", c.authorization)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: %d", c.why, resp.StatusCode)
		}
	}
}

func TestRulesMayShareTheirRandomSource(t *testing.T) {
	e, r := &engine{}, recorder.New()
	r.Handle("sqs", e)
	seeded := rand.New(rand.NewPCG(1, 2))
	first := &recorder.Rule{Probability: 0.3, Effect: recorder.Fail, Code: "A", Random: seeded}
	second := &recorder.Rule{Probability: 0.3, Effect: recorder.Fail, Code: "B", Random: seeded}
	r.Inject(first, second)
	c, url := sqs.NewFromConfig(sdktest.Config(t, r)), "http://queue/q"
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				_, _ = c.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url})
			}
		})
	}
	wg.Wait()
	if passed := int(e.requests.Load()); first.Count() == 0 || second.Count() == 0 || passed+first.Count()+second.Count() != 200 {
		t.Errorf("%d passed, %d and %d failed", passed, first.Count(), second.Count())
	}
}
