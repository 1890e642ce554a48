package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"outpost/functions/worker/internal/outcome"
	"outpost/shared/agent"
	"outpost/shared/task"
)

// After this many failures in a row it is pointless to go on. Agents differ in
// how long they try: some for minutes, one for ever.
const (
	hopelessKey     = 3  // 401 and 403
	hopelessNetwork = 10 // no connection
)

// meter counts what a run uses and remembers how the provider fared.
type meter struct {
	config Config

	mu      sync.Mutex
	done    map[string]agent.Usage   // by model, of answers that have ended
	running map[*watched]agent.Usage // of answers under way
	last    *outcome.Failure         // of the last model call; nil when it was served
	row     int                      // equal failures in a row
	verdict *outcome.Failure         // why the proxy gave up
	stopped bool
}

var verdictBudget = &outcome.Failure{Reason: task.ReasonBudgetExceeded}

func newMeter(c Config) *meter {
	return &meter{config: c, done: map[string]agent.Usage{}, running: map[*watched]agent.Usage{}}
}

// watch returns the body of an answer, counted while it is read.
func (m *meter) watch(resp *http.Response, model string) *watched {
	return &watched{ReadCloser: resp.Body, meter: m, call: resp.Request.Context(), model: model,
		streamed: strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")}
}

// progress takes the counts of an answer under way.
func (m *meter) progress(w *watched) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[w] = w.counts.usage()
}

// end moves an answer's counts to those that are done.
func (m *meter) end(w *watched) {
	delete(m.running, w)
	m.done[w.model] = m.done[w.model].Add(w.counts.usage())
}

// served takes the end of an answer that was whole.
func (m *meter) served(w *watched) {
	m.mu.Lock()
	m.end(w)
	m.last, m.row = nil, 0
	m.mu.Unlock()
	if m.overBudget() {
		m.stop(verdictBudget)
	}
}

// failed takes the end of an answer that told an error or broke off.
func (m *meter) failed(w *watched, text string) {
	m.mu.Lock()
	m.end(w)
	m.mu.Unlock()
	m.note(task.ReasonProviderError, text, 0)
}

// refused takes an answer of 4xx or 5xx.
func (m *meter) refused(status int, text string) {
	detail := strings.TrimSuffix(fmt.Sprintf("the provider answered %d: %s", status, text), ": ")
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		m.note(task.ReasonProviderUnauthorized, detail, hopelessKey)
	case status == http.StatusTooManyRequests:
		m.note(task.ReasonProviderRateLimited, detail, 0)
	case status >= 500:
		m.note(task.ReasonProviderError, detail, 0)
	default:
		// The request was at fault: the agent's doing, or a model it cannot have.
		m.note(task.ReasonAgentFailed, detail, 0)
	}
}

// unreachable takes a call that got no answer.
func (m *meter) unreachable(err error) {
	m.note(task.ReasonProviderUnreachable, err.Error(), hopelessNetwork)
}

// note remembers a failure, and gives up after so many in a row; 0 is never.
func (m *meter) note(reason task.Reason, detail string, hopeless int) {
	failure := &outcome.Failure{Reason: reason, Detail: detail}
	m.mu.Lock()
	if m.last == nil || m.last.Reason != reason {
		m.row = 0
	}
	m.last = failure
	m.row++
	giveUp := hopeless > 0 && m.row >= hopeless
	m.mu.Unlock()
	if giveUp {
		m.stop(failure)
	}
}

// stop gives up, once.
func (m *meter) stop(why *outcome.Failure) {
	m.mu.Lock()
	first := !m.stopped
	if first {
		m.stopped, m.verdict = true, why
	}
	m.mu.Unlock()
	if first {
		m.config.Stop()
	}
}

// usage returns the tokens so far by model, answers under way included.
func (m *meter) usage() map[string]agent.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]agent.Usage, len(m.done))
	for model, u := range m.done {
		all[model] = u
	}
	for w, u := range m.running {
		all[w.model] = all[w.model].Add(u)
	}
	return all
}

// overBudget tells whether the known cost has reached the budget.
func (m *meter) overBudget() bool {
	if m.config.BudgetUSD <= 0 {
		return false
	}
	spent, _ := cost(m.usage())
	return m.config.SpentUSD+spent >= m.config.BudgetUSD
}

// cost sums up list prices. It is known when every model's is.
func cost(all map[string]agent.Usage) (usd float64, known bool) {
	known = true
	for model, u := range all {
		if u == (agent.Usage{}) {
			continue
		}
		c, ok := agent.Cost(model, u)
		usd += c
		known = known && ok
	}
	return usd, known
}

// Usage returns all tokens so far and their cost at list prices, nil when a
// model's price is not known.
func (p *Proxy) Usage() (agent.Usage, *float64) {
	all := p.meter.usage()
	var sum agent.Usage
	for _, u := range all {
		sum = sum.Add(u)
	}
	usd, known := cost(all)
	if !known {
		return sum, nil
	}
	return sum, &usd
}

// Verdict tells why the proxy gave up and called Stop; nil when it did not.
func (p *Proxy) Verdict() *outcome.Failure {
	p.meter.mu.Lock()
	defer p.meter.mu.Unlock()
	return p.meter.verdict
}

// LastFailure is how the last call of a model failed; nil when it was served.
func (p *Proxy) LastFailure() *outcome.Failure {
	p.meter.mu.Lock()
	defer p.meter.mu.Unlock()
	return p.meter.last
}
