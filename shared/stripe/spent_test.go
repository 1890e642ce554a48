package stripe_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/stripe/stripe-go/v76"

	standin "outpost/infra/local/stripe"
	"outpost/shared/stripe"
)

// opened are the customer's Checkout pages that can be paid.
func (s *shop) opened(t *testing.T, customer string) (urls []string) {
	t.Helper()
	it := s.sdk.CheckoutSessions.List(&sdk.CheckoutSessionListParams{Customer: &customer, Status: sdk.String("open")})
	for it.Next() {
		urls = append(urls, it.CheckoutSession().URL)
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return urls
}

// Each click may meet a failure that Stripe keeps; the first that meets none is
// served, whatever is kept of the others.
func TestFailuresThatStripeKeepsBlockNobody(t *testing.T) {
	for _, f := range []standin.Fault{{Status: 500}, {Status: 500, Done: true}, {Status: 500, LoseAnswer: true}, {Status: 500, Done: true, LoseAnswer: true}, {Status: 503}} {
		for _, times := range []int{1, 2, 12} {
			for _, where := range []string{"/v1/customers", "/v1/checkout/sessions"} {
				f.Path, f.Times, f.Kept = where, 1, true
				s := open(t, 1)
				if _, err := s.Customer(t.Context(), "ten_0", 0, "B", "b@example.com"); err != nil { // is not taken for ours
					t.Fatal(err)
				}
				click := func() (page string, err error) {
					customer, err := s.Customer(t.Context(), "ten_1", 0, "A", "a@example.com")
					if err == nil {
						page, err = s.Open(t.Context(), s.wish("ten_1", customer, "pro"))
					}
					return page, err
				}
				for range times {
					s.Fail(f)
					if page, err := click(); err == nil && !f.Done { // what is done all the same is found
						t.Errorf("%+v did not come: %s", f, page)
					}
				}
				s.Heal()
				page, err := click()
				if err != nil {
					t.Errorf("%+v, %d times: %v", f, times, err)
					continue
				}
				again, err := click()
				customer := s.customer(t)
				if open := s.opened(t, customer); err != nil || again != page || len(open) != 1 || open[0] != page {
					t.Errorf("%+v, %d times: %s, then %s, %v; open are %v", f, times, page, again, err, open)
				}
				if n := len(s.Customers()); n != 2 {
					t.Errorf("%+v, %d times: %d customers", f, times, n-1)
				}
			}
		}
	}
}

// front is before the stand-in, and like Stripe in what that is not: it serves two
// calls at once.
type front struct {
	mu    sync.Mutex
	holds string // end of the Idempotency-Key of the call that is held
	body  []byte // of that call, while it is
	held  chan struct{}
	let   chan struct{}
	next  http.Handler
}

func (s *shop) behind(t *testing.T, f *front) *stripe.Client {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	f.next, f.held, f.let = httputil.NewSingleHostReverseProxy(target), make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c, err := stripe.New(stripe.Options{Keys: keys, Base: server.URL, Clock: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ServeHTTP holds one call, and refuses others under its key meanwhile: of other
// parameters before it looks whether the key is in use.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	mine := f.holds != "" && r.Method == http.MethodPost && strings.HasSuffix(r.Header.Get("Idempotency-Key"), f.holds)
	switch {
	case !mine:
	case f.body == nil:
		f.body = body
		f.mu.Unlock()
		f.held <- struct{}{}
		<-f.let
		f.next.ServeHTTP(w, r)
		return
	case bytes.Equal(f.body, body):
		f.mu.Unlock()
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"error": {"type": "invalid_request_error", "code": "idempotency_key_in_use"}}`))
		return
	default:
		f.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error": {"type": "idempotency_error"}}`))
		return
	}
	f.mu.Unlock()
	f.next.ServeHTTP(w, r)
}

type page struct {
	url string
	err error
}

// begin opens a page that the front holds, and returns when it does.
func (f *front) begin(t *testing.T, c *stripe.Client, w stripe.Checkout, key string) <-chan page {
	f.mu.Lock()
	f.holds = key
	f.mu.Unlock()
	done := make(chan page, 1)
	go func() {
		url, err := c.Open(t.Context(), w)
		done <- page{url, err}
	}()
	<-f.held
	return done
}

func (f *front) end() {
	f.mu.Lock()
	f.holds = ""
	f.mu.Unlock()
	f.let <- struct{}{}
}

// A key that another wish has, and nothing to be seen of it: that may be a failure
// that is kept, or a page that is still being made. Only time tells them apart.
func TestAPageThatIsBeingMadeIsNotTakenForAFailure(t *testing.T) {
	s := open(t, 2)
	f := &front{}
	c := s.behind(t, f)
	customer := s.customer(t)
	first := f.begin(t, c, s.wish("ten_1", customer, "pro"), "none")
	for range 20 {
		if url, err := c.Open(t.Context(), s.wish("ten_1", customer, "enterprise")); err == nil {
			t.Errorf("%s is opened beside one that is being made", url)
			break
		}
		s.clock.Advance(5 * time.Second)
	}
	f.end()
	made := <-first
	if made.err != nil {
		t.Fatal(made.err)
	}
	other, err := c.Open(t.Context(), s.wish("ten_1", customer, "enterprise"))
	if open := s.opened(t, customer); err != nil || len(open) != 1 || open[0] != other || other == made.url {
		t.Errorf("%s, then %s, %v; open are %v", made.url, other, err, open)
	}
}

func TestAFailureUnderAnotherWishBlocksForMinutesAlone(t *testing.T) {
	s := open(t, 3)
	customer := s.customer(t)
	for range 3 { // three keys hold failures of one wish
		s.Fail(standin.Fault{Path: "/v1/checkout/sessions", Times: 1, Status: 500, Kept: true})
		if _, err := s.Open(t.Context(), s.wish("ten_1", customer, "pro")); err == nil {
			t.Fatal("the failure did not come")
		}
	}
	enterprise, waited := "", time.Duration(0)
	var err error
	for ; waited < time.Hour; waited += 10 * time.Second {
		if enterprise, err = s.Open(t.Context(), s.wish("ten_1", customer, "enterprise")); err == nil {
			break
		}
		if n := len(s.opened(t, customer)); n != 0 {
			t.Fatalf("%d pages are open after %v", n, err)
		}
		s.clock.Advance(10 * time.Second)
	}
	if err != nil || waited < 2*time.Minute || waited > 10*time.Minute {
		t.Errorf("after %s: %s, %v", waited, enterprise, err)
	}
	pro, err := s.Open(t.Context(), s.wish("ten_1", customer, "pro"))
	if open := s.opened(t, customer); err != nil || len(open) != 1 || open[0] != pro || pro == enterprise {
		t.Errorf("%s, then %s, %v; open are %v", enterprise, pro, err, open)
	}
}

// Stripe forgets a key after a day. Who has gone on to the next one, and who finds
// the first one free again, both make a page; one stays.
func TestOnePageStaysWhereASpentKeyIsForgotten(t *testing.T) {
	s := open(t, 4)
	f := &front{}
	c := s.behind(t, f)
	customer := s.customer(t)
	s.Fail(standin.Fault{Path: "/v1/checkout/sessions", Times: 1, Status: 500, Kept: true})
	if _, err := c.Open(t.Context(), s.wish("ten_1", customer, "pro")); err == nil {
		t.Fatal("the failure did not come")
	}
	s.clock.Advance(24*time.Hour - time.Second)
	late := f.begin(t, c, s.wish("ten_1", customer, "pro"), "none-1")
	s.clock.Advance(2 * time.Second)
	other, err := c.Open(t.Context(), s.wish("ten_1", customer, "enterprise"))
	f.end()
	made := <-late
	if err != nil {
		t.Fatal(err)
	}
	if open := s.opened(t, customer); made.err != nil || len(open) != 1 || open[0] != made.url {
		t.Errorf("%s, then %s, %v; open are %v", other, made.url, made.err, open)
	}
	if _, err := s.Checkout(path.Base(other), standin.GoodCard); err == nil {
		t.Error("the page that was closed is paid")
	}
}

// All who click at once after failures go by the same keys.
func TestManyWhoClickAfterKeptFailuresShareOnePage(t *testing.T) {
	for _, done := range []bool{false, true} {
		s := open(t, 5)
		s.Fail(standin.Fault{Path: "/v1/customers", Times: 1, Status: 500, Kept: true, Done: done})
		if _, err := s.Customer(t.Context(), "ten_1", 0, "A", "a@example.com"); err == nil {
			t.Fatal("the failure did not come")
		}
		pages := make(chan string, 20)
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				customer, err := s.Customer(t.Context(), "ten_1", 0, fmt.Sprint(i), "a@example.com")
				if err != nil {
					t.Error(err)
					return
				}
				url, err := s.Open(t.Context(), s.wish("ten_1", customer, "pro"))
				if err != nil && !errors.Is(err, stripe.ErrSubscribed) {
					t.Error(err)
				}
				pages <- url
			})
		}
		group.Wait()
		first := <-pages
		for range 19 {
			if url := <-pages; url != first {
				t.Errorf("%s beside %s", url, first)
			}
		}
		if customers := s.Customers(); len(customers) != 1 || len(s.opened(t, customers[0].ID)) != 1 {
			t.Errorf("%d customers", len(customers))
		}
	}
}
