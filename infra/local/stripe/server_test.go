package stripe_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/infra/local/stripe"
)

func TestAnIdempotencyKeyMakesOneThing(t *testing.T) {
	w := newWorld(t)
	create := func(name string) (*sdk.Customer, error) {
		p := &sdk.CustomerParams{Name: &name}
		p.SetIdempotencyKey("customer-of-ten_1")
		return w.api.Customers.New(p)
	}
	var made sync.Map
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			c, err := create("A")
			if err != nil {
				t.Error(err)
				return
			}
			made.Store(c.ID, true)
		})
	}
	group.Wait()
	if n := len(w.Customers()); n != 1 {
		t.Errorf("%d customers", n)
	}
	if c := must(create("A"))(t); c.LastResponse.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("the replay does not say so")
	}
	_, err := create("B")
	refused(t, err, 400, "")
	w.clock.Advance(24 * time.Hour)
	must(create("B"))(t)
	if n := len(w.Customers()); n != 2 {
		t.Errorf("%d customers after a day", n)
	}
}

func TestALostAnswerHasDoneItsWork(t *testing.T) {
	w := newWorld(t)
	w.Fail(stripe.Fault{Path: "/v1/customers", Times: 1, LoseAnswer: true})
	p := func() *sdk.CustomerParams {
		p := &sdk.CustomerParams{Name: sdk.String("A")}
		p.SetIdempotencyKey("k")
		return p
	}
	if _, err := w.api.Customers.New(p()); err == nil {
		t.Fatal("the answer came")
	}
	if n := len(w.Customers()); n != 1 {
		t.Fatalf("%d customers", n)
	}
	if c := must(w.api.Customers.New(p()))(t); c.ID != w.Customers()[0].ID || len(w.Customers()) != 1 {
		t.Errorf("%s beside %v", c.ID, w.Customers())
	}
}

func TestAFailureThatIsKeptIsReplayedForADayWhateverItDid(t *testing.T) {
	for made, done := range []bool{false, true} {
		w := newWorld(t)
		w.Fail(stripe.Fault{Path: "/v1/customers", Times: 1, Status: 500, Kept: true, Done: done})
		create := func() *sdk.Error {
			p := &sdk.CustomerParams{Name: sdk.String("A")}
			p.SetIdempotencyKey("k")
			_, err := w.api.Customers.New(p)
			e, _ := err.(*sdk.Error)
			return e
		}
		for i := range 3 {
			it := w.api.Customers.List(nil) // has no key, and is not what fails
			for it.Next() {
			}
			e := create()
			if it.Err() != nil || e == nil || e.HTTPStatusCode != 500 || (e.LastResponse.Header.Get("Idempotent-Replayed") == "true") != (i > 0) || len(w.Customers()) != made {
				t.Errorf("call %d, done: %t: %v, %v, %d customers", i, done, it.Err(), e, len(w.Customers()))
			}
			w.clock.Advance(time.Hour)
		}
		w.clock.Advance(22 * time.Hour)
		if e := create(); e != nil || len(w.Customers()) != made+1 {
			t.Errorf("a day later: %v, %d customers", e, len(w.Customers()))
		}
	}
}

func TestFaultsOfTheAPIComeAsOftenAsAskedAndDoNothing(t *testing.T) {
	w := newWorld(t)
	for _, f := range []stripe.Fault{{Status: 429}, {Status: 500}, {Status: 503}, {Down: true}} {
		f.Times = 2
		w.Fail(f)
		for range 2 {
			_, err := w.api.Customers.New(&sdk.CustomerParams{})
			if err == nil {
				t.Errorf("%+v did not come", f)
			}
			if e, ok := err.(*sdk.Error); ok && e.HTTPStatusCode != f.Status {
				t.Errorf("%+v: %v", f, err)
			}
		}
		if n := len(w.Customers()); n != 0 {
			t.Errorf("%+v made %d customers", f, n)
		}
		must(w.api.Accounts.Get())(t)
	}
	w.Fail(stripe.Fault{Status: 500, Times: -1})
	calls := w.Calls()
	for range 5 {
		if _, err := w.api.Accounts.Get(); err == nil {
			t.Error("it answered")
		}
	}
	if n := w.Calls() - calls; n != 5 {
		t.Errorf("%d calls counted", n)
	}
	w.Heal()
	must(w.api.Accounts.Get())(t)
}

func TestListsAreWalkedToTheirEnd(t *testing.T) {
	w := newWorld(t)
	var want []string
	for range 25 {
		want = append(want, w.customer())
	}
	slices.Reverse(want)
	var got []string
	p := &sdk.CustomerListParams{}
	p.Limit = sdk.Int64(10)
	it := w.api.Customers.List(p)
	for it.Next() {
		got = append(got, it.Customer().ID)
	}
	if it.Err() != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %d of %d", it.Err(), len(got), len(want))
	}
	back := &sdk.CustomerListParams{}
	back.Limit, back.EndingBefore, back.Single = sdk.Int64(5), sdk.String(want[20]), true
	got = nil
	for it = w.api.Customers.List(back); it.Next(); {
		got = append(got, it.Customer().ID)
	}
	slices.Reverse(got) // the SDK turns such a page round
	if !slices.Equal(got, want[15:20]) {
		t.Errorf("before %s: %v", want[20], got)
	}
	for _, bad := range []string{"limit=0", "limit=101", "limit=x", "starting_after=cus_none"} {
		if status, _ := w.get("/v1/customers?" + bad); status != 400 {
			t.Errorf("%s: %d", bad, status)
		}
	}
}

// get asks the API for something in a way that the SDK would not.
func (w *world) get(path string) (status int, body string) {
	w.t.Helper()
	return w.send("GET", path, "", map[string]string{"Authorization": "Bearer " + key})
}

func (w *world) send(method, path, body string, header map[string]string) (status int, answer string) {
	w.t.Helper()
	r := must(http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body)))(w.t)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res := must(client.Do(r))(w.t)
	defer res.Body.Close()
	var b strings.Builder
	_, _ = fmt.Fprint(&b, res.Header.Get("Location"))
	buf := make([]byte, 1<<20)
	for {
		n, err := res.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return res.StatusCode, b.String()
		}
	}
}

func TestWhatTheStandInDoesNotKnowItRefusesByName(t *testing.T) {
	w := newWorld(t)
	auth := map[string]string{"Authorization": "Bearer " + key}
	for _, c := range []struct {
		why, method, path, body string
		header                  map[string]string
		status                  int
		says                    string
	}{
		{"an unknown parameter", "POST", "/v1/customers", "nmae=A", auth, 400, "Received unknown parameter: nmae"},
		{"one inside another", "POST", "/v1/customers", "invoice_settings[x]=1", auth, 400, "invoice_settings[x]"},
		{"an unknown URL", "GET", "/v1/coupons", "", auth, 404, "/v1/coupons"},
		{"a malformed number", "POST", "/v1/customers", "balance=many", auth, 400, "Invalid integer: many"},
		{"a missing parameter", "POST", "/v1/products", "", auth, 400, "Missing required param: name."},
		{"an empty parameter", "POST", "/v1/products", "name=", auth, 400, "Missing required param: name."},
		{"an object of another kind", "GET", "/v1/customers/" + w.pro, "", auth, 404, "No such customer"},
		{"a malformed form", "POST", "/v1/customers", "name=%zz", auth, 400, "Invalid form encoding"},
		{"no key", "GET", "/v1/account", "", nil, 401, "Invalid API Key"},
		{"a live key", "GET", "/v1/account", "", map[string]string{"Authorization": "Bearer sk_" + "live_x"}, 401, "Invalid API Key"},
		{"another version", "GET", "/v1/account", "", map[string]string{"Authorization": "Bearer " + key, "Stripe-Version": "2024-04-10"}, 400, "2023-10-16"},
		{"a price twice", "POST", "/v1/prices", "currency=usd&product=prod_none", auth, 404, "No such product"},
		{"a lookup key that another price has", "POST", "/v1/prices", "currency=usd&lookup_key=outpost_pro&product=" + must(w.api.Prices.Get(w.pro, nil))(t).Product.ID, auth, 400, "lookup key"},
	} {
		if status, body := w.send(c.method, c.path, c.body, c.header); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", c.why, status, body)
		}
	}
}

func TestALookupKeyMovesWhenItIsTransferred(t *testing.T) {
	w := newWorld(t)
	old := must(w.api.Prices.Get(w.pro, nil))(t)
	made := must(w.api.Prices.New(&sdk.PriceParams{Product: &old.Product.ID, Currency: sdk.String("usd"), UnitAmount: sdk.Int64(3900), LookupKey: &old.LookupKey,
		TransferLookupKey: sdk.Bool(true), Recurring: &sdk.PriceRecurringParams{Interval: sdk.String("month")}}))(t)
	it := w.api.Prices.List(&sdk.PriceListParams{LookupKeys: []*string{&old.LookupKey}})
	if !it.Next() || it.Price().ID != made.ID || it.Next() {
		t.Errorf("%+v", it.Price())
	}
}

func TestARestartChangesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stripe.json")
	var o stripe.Options
	w := newWorld(t, func(x *stripe.Options) { x.File = file; o = *x })
	customer, id := w.subscribe(w.pro)
	w.Advance(10 * day)
	before, waiting := w.Subscriptions(customer), len(w.Events())
	w.open(o)
	if after := w.Subscriptions(customer); len(after) != 1 || after[0].CurrentPeriodEnd != before[0].CurrentPeriodEnd || !w.Now().Equal(start.Add(10*day)) {
		t.Errorf("%+v at %s", after, w.Now())
	}
	if n := w.Deliver(t.Context()); n != waiting {
		t.Errorf("%d of %d webhooks were kept", n, waiting)
	}
	w.Advance(20 * day)
	w.is(id, "active", w.pro)
	if n := len(w.Invoices(customer)); n != 2 {
		t.Errorf("%d invoices", n)
	}
	w.customer() // its id is nobody's
	if n := len(w.Customers()); n != 2 {
		t.Errorf("%d customers", n)
	}
}
