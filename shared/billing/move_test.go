package billing_test

import (
	"errors"
	"testing"

	"outpost/shared/billing"
)

func TestAPlanIsComeToByOneMove(t *testing.T) {
	const sold, past = "price_pro", "price_pro_of_2025"
	for _, c := range []struct {
		status             billing.Status
		is, becomes, wants string
		move               billing.Move
		price              string
		err                error
	}{
		{"active", sold, "", "enterprise", billing.Rise, "price_enterprise", nil},
		{"trialing", sold, "", "enterprise", billing.Rise, "price_enterprise", nil},
		{"active", "price_enterprise", "", "pro", billing.Fall, sold, nil},
		{"active", sold, "", "pro", billing.Stay, "", nil},
		{"active", sold, "", "free", billing.Leave, "", nil},
		{"past_due", sold, "", "free", billing.Leave, "", nil},
		{"past_due", sold, "", "pro", billing.Stay, "", nil},
		{"past_due", sold, "", "enterprise", "", "", billing.ErrUnpaid},
		{"unpaid", "price_enterprise", "", "pro", "", "", billing.ErrUnpaid},
		{"paused", sold, "", "enterprise", "", "", billing.ErrUnpaid},
		{"incomplete", sold, "", "enterprise", "", "", billing.ErrUnpaid},
		{"active", sold, "", "gold", "", "", billing.ErrPlan},
		{"active", sold, "", "", "", "", billing.ErrPlan},
		{"active", "price_other", "", "pro", "", "", billing.ErrPlan},
		{"active", "price_other", "", "free", billing.Leave, "", nil},
		{"active", past, "", "pro", billing.Stay, "", nil},
		{"active", past, "", "enterprise", billing.Rise, "price_enterprise", nil},
		{"active", "price_enterprise_of_2025", "", "pro", billing.Fall, sold, nil},
		{"active", "price_enterprise_of_2025", "", "enterprise", billing.Stay, "", nil},
		{"active", past, "", "free", billing.Leave, "", nil},
		{"past_due", past, "", "pro", billing.Stay, "", nil},
		{"past_due", past, "", "enterprise", "", "", billing.ErrUnpaid},
		{"active", "price_enterprise", past, "pro", billing.Fall, past, nil}, // promised before it was sold no more
		{"active", "price_enterprise", past, "enterprise", billing.Stay, "", nil},
		{"active", "price_enterprise", "price_other", "pro", billing.Fall, sold, nil},
	} {
		move, price, err := billing.Subscription{Status: c.status, Price: c.is, Next: c.becomes}.MoveTo(c.wants, prices)
		if move != c.move || price != c.price || !errors.Is(err, c.err) {
			t.Errorf("%s %s, to become %q, to %q: %q at %q, %v", c.status, c.is, c.becomes, c.wants, move, price, err)
		}
	}
}

func TestATenantIsLedBackToTheListAlone(t *testing.T) {
	listed, err := billing.ParseReturns("https://app.example.com, https://Console.example.com:8443,https://[2001:db8::1]/")
	if err != nil {
		t.Fatal(err)
	}
	local, err := billing.ParseReturns(billing.Loopback)
	if err != nil {
		t.Fatal(err)
	}
	for text, allowed := range map[string]bool{
		"https://app.example.com":                       true,
		"https://APP.example.com/billing?done=1#top":    true,
		"https://app.example.com:443/a":                 true,
		"https://console.example.com:8443/":             true,
		"https://[2001:db8::1]/":                        true,
		"https://app.example.com/{CHECKOUT_SESSION_ID}": true,
		"http://app.example.com/":                       false,
		"https://app.example.com.evil.com/":             false,
		"https://app.example.com@evil.com/":             false,
		"https://evil.com/https://app.example.com":      false,
		"https://evil.com#https://app.example.com":      false,
		"https://user:word@app.example.com/":            false,
		"https://app.example.com:8443/":                 false,
		"https://console.example.com/":                  false,
		"https://app.example.com\\@evil.com/":           false,
		"https:\\\\app.example.com/":                    false,
		"https://evil.com\\.app.example.com/":           false,
		"https:app.example.com":                         false,
		"https:///app.example.com/":                     false,
		"//app.example.com/":                            false,
		"/billing":                                      false,
		"javascript://app.example.com/%0aalert(1)":      false,
		"https://app.example.com/\r\nSet-Cookie: a=b":   false,
		"https://app.example.com\t.evil.com/":           false,
		" https://app.example.com/":                     false,
		"https://app.example.com./":                     false,
		"https://app%2eexample.com/":                    false,
		"https://\u0430pp.example.com/":                 false,
		"https://127.0.0.1:3000/":                       false,
		"":                                              false,
	} {
		got, err := listed.Allow(text)
		if (err == nil) != allowed || (err == nil) == (got == "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if _, err := local.Allow(text); (err == nil) != (text == "https://127.0.0.1:3000/") {
			t.Errorf("on one machine, %q: %v", text, err)
		}
	}
	for text, allowed := range map[string]bool{"http://localhost:5173/a": true, "http://127.0.0.1": true, "http://[::1]:80/": true, "https://127.9.9.9/": true,
		"http://localhost.evil.com/": false, "http://127.0.0.1.evil.com/": false, "http://127.1/": false, "http://0.0.0.0/": false, "http://10.0.0.1/": false, "http://127.0.0.1@evil.com/": false, "ftp://localhost/": false} {
		if _, err := local.Allow(text); (err == nil) != allowed {
			t.Errorf("on one machine, %q: %v", text, err)
		}
	}
	long := "https://app.example.com/"
	for len(long) <= billing.MaxReturnURL {
		long += "a"
	}
	if _, err := listed.Allow(long); err == nil {
		t.Error("a URL without end is allowed")
	}
	if none, err := billing.ParseReturns(""); err != nil {
		t.Error(err)
	} else if _, err := none.Allow("https://app.example.com/"); err == nil {
		t.Error("an empty list allows")
	}
	for _, text := range []string{"http://app.example.com", "https://app.example.com/path", "https://*.example.com/a", "app.example.com", "https://a@app.example.com", "https://app.example.com?x", "https://", "*"} {
		if _, err := billing.ParseReturns(text); err == nil {
			t.Errorf("the list takes %q", text)
		}
	}
}
