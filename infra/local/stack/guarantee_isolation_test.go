package stack_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"outpost/infra/local/guarantee"
)

// TestGuaranteeNoTenantSeesAnother reads every operation from the contract and
// calls it on a whole Outpost: as a tenant, who names its neighbour's things and
// things that nobody has; with keys that lack one scope each; with each
// credential that is not the one wanted; and as a worker whose token names
// another's run. "Not yours" and "not there" must be the same answer, byte for
// byte and header for header, made with the same AWS calls; no answer may hold a
// text that only the neighbour's rows hold; and at the end the neighbour's rows
// must be what they were. That the things are really there is shown last, by
// their owner's requests. Times are measured in pairs and only reported.
func TestGuaranteeNoTenantSeesAnother(t *testing.T) {
	g := guarantee.For(t, "tenancy-5", "Another tenant's thing and one that nobody has are the same answer, whatever the operation.")
	w := start(t, options(t, t.TempDir(), scriptedAgent(t, `echo changed by $(cat a.txt) >> a.txt`), "http://127.0.0.1:9"))
	operator := &world{t: t, url: w.url, key: w.Demo.OperatorKey}
	i := &isolation{t: t, w: w, operator: operator, operations: operations(t),
		mine:   moveIn(w, operator, "walrus-one", "OPENAI_API_KEY"),
		theirs: moveIn(w, operator, "ocelot-two", "OPENAI_API_KEY", "XAI_API_KEY")}
	i.tokens = workersTokens(t, w)
	before := rows(t, w, i.theirs.tenant)
	i.foreign = texts(before, rows(t, w, i.mine.tenant))
	for _, needle := range []string{"Work for ocelot-two.", "The key of ocelot-two", "ocelot-two@example.com", "tag-of-ocelot-two", i.theirs.things["tsk"], i.theirs.things["run"], i.theirs.tenant} {
		if !slices.Contains(i.foreign, needle) {
			t.Fatalf("%q is not among the neighbour's %d texts: the search would miss it", needle, len(i.foreign))
		}
	}

	for _, o := range i.operations {
		i.openly(o)
	}
	for _, o := range i.operations {
		i.named(o)
		i.withoutScope(o)
		i.withWrongCredential(o)
	}
	pairs := i.timed(g.Pick(200, 2))
	if after := rows(t, w, i.theirs.tenant); !maps.Equal(after, before) {
		for sk := range after {
			if after[sk] != before[sk] {
				t.Errorf("the neighbour's row %s has changed:\n%s\n%s", sk, before[sk], after[sk])
			}
		}
		t.Errorf("the neighbour had %d rows and has %d", len(before), len(after))
	}
	for _, o := range i.operations {
		i.byItsOwner(o)
	}

	g.Figure("operations of the contract", len(i.operations))
	g.Figure("operations that name a thing", i.naming)
	g.Figure("answers compared in pairs, not yours and not there", i.pairs)
	g.Figure("answers of 404", i.statuses[404])
	g.Figure("answers of 403 and 401", fmt.Sprintf("%d and %d", i.statuses[403], i.statuses[401]))
	g.Figure("texts of the neighbour searched for", fmt.Sprintf("%d, in %d answers: %d found", len(i.foreign), i.answers, i.leaks))
	g.Figure("time, not asserted", pairs)
}

// isolation is the proof as it goes.
type isolation struct {
	t            *testing.T
	w, operator  *world
	operations   []operation
	mine, theirs neighbour
	tokens       workers
	foreign      []string
	exceptKeys   map[string]string // by the scope that they lack

	naming, pairs, answers int
	leaks                  int // texts of the neighbour in an answer
	statuses               map[int]int
}

// ask makes a request that is not the neighbour's: nothing of the neighbour may
// be in its answer.
func (i *isolation) ask(o operation, key, path string, body any) answer {
	i.t.Helper()
	c := &world{t: i.t, url: i.w.url, key: key}
	a, err := c.call(o.method, path, body)
	if err != nil {
		i.t.Fatalf("%s: %v", o, err)
	}
	if i.statuses == nil {
		i.statuses = map[int]int{}
	}
	i.answers++
	i.statuses[a.status]++
	if a.status >= 500 {
		i.t.Errorf("%s: %d %s", o, a.status, a.body)
	}
	whole := string(a.body)
	for name, values := range a.header {
		whole += "\n" + name + ": " + strings.Join(values, ",")
	}
	for _, text := range i.foreign {
		if strings.Contains(whole, text) {
			i.leaks++
			i.t.Errorf("%s %s answered %d with the neighbour's %q: %s", o.method, path, a.status, text, whole)
		}
	}
	return a
}

// openly calls what names nothing, as a tenant, the operator's routes as nobody
// with a right to them.
func (i *isolation) openly(o operation) {
	i.t.Helper()
	if o.hasID() || (o.security != "apiKey" && o.security != "") {
		return
	}
	path, body := o.request("", "", "")
	if a := i.ask(o, i.mine.key, path, body); o.method == http.MethodGet && a.status != http.StatusOK {
		i.t.Errorf("%s: %d %s", o, a.status, a.body)
	}
	if !o.cursor {
		return
	}
	// The neighbour's cursor is no better than an invented one.
	var page struct {
		Cursor string `json:"next_cursor"`
	}
	if err := json.Unmarshal(i.theirs.must(200, o.method, path+"?limit=1", nil).body, &page); err != nil || page.Cursor == "" {
		i.t.Errorf("%s: the neighbour's list has no second page: %v", o, err)
	}
	i.same(o, i.mine.key, path+"?limit=1&cursor="+page.Cursor, path+"?limit=1&cursor="+strings.Repeat("A", len(page.Cursor)), nil, nil)
}

// named names the neighbour's things, then nobody's.
func (i *isolation) named(o operation) {
	i.t.Helper()
	if o.security == "ticket" || o.security == "runToken" {
		path, body := o.request("", "", "")
		i.naming++
		run := i.theirs.things["run"]
		i.sameFor(o, i.tokens.of(o.security, i.mine.tenant, run), i.tokens.of(o.security, i.mine.tenant, nobodys(run)), path, path, body, body)
		return
	}
	if o.security != "apiKey" || !o.hasID() {
		return
	}
	i.naming++
	theirs, nobody := i.strange(o)
	path, body := o.request(theirs, "", "")
	none, _ := o.request(nobody, "", "")
	status := i.same(o, i.mine.key, path, none, body, body)
	if o.names == nil && status != http.StatusNotFound {
		i.t.Errorf("%s: what is not yours is answered %d", o, status)
	}
	if o.names != nil {
		return // a name that every tenant has
	}
	for _, malformed := range []string{"nonsense", strings.ToLower(theirs), theirs + "0", "%2e%2e%2f" + theirs, "xyz" + theirs[3:]} {
		other, _ := o.request(malformed, "", "")
		i.like(o, malformed, i.ask(o, i.mine.key, other, body), i.ask(o, i.mine.key, none, body))
	}
	for field, kind := range o.bodyIDs {
		own := i.mine.things[o.kind]
		path, body := o.request(i.thing(o, kind), field, own)
		_, other := o.request(nobodys(i.thing(o, kind)), field, own)
		i.same(o, i.mine.key, path, path, body, other)
	}
}

// thing is the neighbour's thing of a kind.
func (i *isolation) thing(o operation, kind string) string {
	i.t.Helper()
	if i.theirs.things[kind] == "" {
		i.t.Fatalf("%s names a thing of the kind %s: moveIn has to make one", o, kind)
	}
	return i.theirs.things[kind]
}

// strange are the neighbour's thing that an operation could name, and one that
// nobody has.
func (i *isolation) strange(o operation) (theirs, nobody string) {
	i.t.Helper()
	if o.names == nil {
		theirs = i.thing(o, o.kind)
		return theirs, nobodys(theirs)
	}
	for _, name := range o.names {
		switch {
		case slices.Contains(i.mine.names, name):
		case slices.Contains(i.theirs.names, name):
			theirs = name
		default:
			nobody = cmp.Or(nobody, name)
		}
	}
	if theirs == "" || nobody == "" {
		i.t.Fatalf("%s: there is no name that the neighbour alone has set, or none that nobody has", o)
	}
	return theirs, nobody
}

// byItsOwner shows that what was named is there: who may name it is answered
// otherwise.
func (i *isolation) byItsOwner(o operation) {
	i.t.Helper()
	if o.kind == "" {
		return
	}
	owner := i.theirs.world
	if o.security == "operatorKey" {
		owner = i.operator
	}
	path, body := o.request(i.thing(o, o.kind), "", "")
	a, err := owner.call(o.method, path, body)
	if err != nil || a.status == 401 || a.status == 403 || a.status == 404 || a.status >= 500 {
		i.t.Errorf("%s by its owner: %d %s %v", o, a.status, a.body, err)
	}
}
