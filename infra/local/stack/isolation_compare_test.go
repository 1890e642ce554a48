package stack_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

func (i *isolation) same(o operation, key, path, other string, body, otherBody any) (status int) {
	i.t.Helper()
	return i.sameFor(o, key, key, path, other, body, otherBody)
}

// sameFor asks twice and holds answers and AWS calls against each other.
func (i *isolation) sameFor(o operation, key, otherKey, path, other string, body, otherBody any) (status int) {
	i.t.Helper()
	i.pairs++
	i.ask(o, otherKey, other, otherBody) // the function is up, what is folded by the minute is there
	counted := func(key, path string, body any) (answer, []string) {
		i.w.Recorder.Reset()
		a := i.ask(o, key, path, body)
		var calls []string
		for _, c := range i.w.Recorder.Calls() {
			if c.Caller == strings.ReplaceAll(o.function, "/", "-") {
				calls = append(calls, c.Service+" "+c.Action)
			}
		}
		return a, calls
	}
	one, calls := counted(key, path, body)
	two, otherCalls := counted(otherKey, other, otherBody)
	i.like(o, path, one, two)
	if !slices.Equal(calls, otherCalls) {
		i.t.Errorf("%s: %v for what is not yours, %v for what is not there", o, calls, otherCalls)
	}
	return one.status
}

// counters are what differs between any two answers.
var counters = regexp.MustCompile(`req_[0-9A-Z]{26}|[rt]=[0-9]+`)

func masked(a answer) (header, body string) {
	h := a.header.Clone()
	h.Del("Date")
	h.Del("Apigw-Requestid")
	return counters.ReplaceAllString(fmt.Sprint(h), "…"), counters.ReplaceAllString(string(a.body), "…")
}

// like fails unless two answers are the same.
func (i *isolation) like(o operation, path string, a, b answer) {
	i.t.Helper()
	header, body := masked(a)
	otherHeader, otherBody := masked(b)
	for _, name := range o.names { // the caller's own word
		body, otherBody = strings.ReplaceAll(body, name, "…"), strings.ReplaceAll(otherBody, name, "…")
	}
	if a.status != b.status || header != otherHeader || body != otherBody {
		i.t.Errorf("%s, %s: not yours\n%d %s %s\nnot there\n%d %s %s", o, path, a.status, header, body, b.status, otherHeader, otherBody)
	}
}

// timed measures pairs of requests for what is not yours and what is not there,
// in turn, and says what a stranger could learn from their times.
func (i *isolation) timed(pairs int) string {
	i.t.Helper()
	var foreign, unknown []time.Duration
	slower, widest := 0, time.Duration(0)
	once := func(o operation, thing string) time.Duration {
		path, body := o.request(thing, "", "")
		began := time.Now()
		i.ask(o, i.mine.key, path, body)
		return time.Since(began)
	}
	for _, o := range i.operations {
		if o.security != "apiKey" || o.kind == "" {
			continue
		}
		theirs, nobody := i.strange(o)
		var f, u []time.Duration
		for n := range pairs {
			if n%2 == 0 {
				f = append(f, once(o, theirs))
			}
			u = append(u, once(o, nobody))
			if n%2 == 1 {
				f = append(f, once(o, theirs))
			}
			if f[n] > u[n] {
				slower++
			}
		}
		foreign, unknown = append(foreign, f...), append(unknown, u...)
		widest = max(widest, (median(f) - median(u)).Abs())
	}
	return fmt.Sprintf("median %.2f ms for what is not yours, %.2f ms for what is not there; the first was slower in %.1f %% of %d pairs; the medians of one operation differ by at most %.2f ms",
		ms(median(foreign)), ms(median(unknown)), 100*float64(slower)/float64(len(foreign)), len(foreign), ms(widest))
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
