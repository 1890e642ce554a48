package recorder

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Effect is what a fault does to a request.
type Effect string

// The effects.
const (
	DropRequest Effect = "drop-request" // the connection closes before the engine sees it
	LoseAnswer  Effect = "lose-answer"  // the engine acts; the caller never hears of it
	Delay       Effect = "delay"        // for Rule.Delay, then as ever
	Fail        Effect = "error"        // an error of Rule's code in place of an answer
	Duplicate   Effect = "duplicate"    // the engine gets it twice
)

// Rule injects a fault into the requests that it matches. Empty fields match
// everything.
type Rule struct {
	Service, Action, Caller string
	Probability             float64 // 0 to 1
	Effect                  Effect
	Delay                   time.Duration
	Status                  int            // of Fail; 400 when 0
	Code                    string         // of Fail
	Extra                   map[string]any // further members of Fail's body
	Random                  *rand.Rand     // seeded; required unless Probability is 1; rules of one recorder may share it

	mu    sync.Mutex
	count int
}

// Conflict makes a rule fail transactions as DynamoDB does when they meet.
func Conflict(probability float64, r *rand.Rand) *Rule {
	return &Rule{Service: "dynamodb", Action: "TransactWriteItems", Probability: probability, Random: r, Effect: Fail,
		Code: "TransactionCanceledException", Extra: map[string]any{
			"Message":             "Transaction cancelled, please refer cancellation reasons for specific reasons [TransactionConflict]",
			"CancellationReasons": []map[string]string{{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}}}}
}

// Inject sets the rules, instead of those before; the first that fires counts.
func (r *Recorder) Inject(rules ...*Rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules = rules
}

// Count returns how often the rule has fired.
func (r *Rule) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

func (r *Recorder) fault(c Call) *Rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rule := range r.rules {
		if rule.fires(c) {
			return rule
		}
	}
	return nil
}

func (r *Rule) fires(c Call) bool {
	matches := func(want, got string) bool { return want == "" || want == got }
	if !matches(r.Service, c.Service) || !matches(r.Action, c.Action) || !matches(r.Caller, c.Caller) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Probability < 1 && r.Random.Float64() >= r.Probability {
		return false
	}
	r.count++
	return true
}

// fail answers with the rule's error and returns its status.
func (r *Rule) fail(w http.ResponseWriter) (status int) {
	body := map[string]any{"__type": r.Code, "message": "injected"}
	for k, v := range r.Extra {
		body[k] = v
	}
	status = max(r.Status, http.StatusBadRequest)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-ErrorType", r.Code)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
	return status
}

// twice sends a request to the engine once more than the caller knows.
func twice(h http.Handler, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	first := req.Clone(req.Context())
	first.Body = io.NopCloser(bytes.NewReader(body))
	h.ServeHTTP(discard{http.Header{}}, first)
	req.Body = io.NopCloser(bytes.NewReader(body))
}
