package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// account answers the SDK's real clients as AWS would.
type account struct {
	concurrency int
	fargate     map[string]float64
	bootstrap   string // empty: not there
	denied      string // operation that is refused
	noIdentity  bool
}

func (a account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case strings.Contains(r.URL.Path, "account-settings"):
		operation = "GetAccountSettings"
	case operation == "":
		operation = "GetCallerIdentity"
	}
	refuse := func(status int, code string) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-ErrorType", code)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":%q,"message":"no"}`, code)
	}
	if operation == a.denied {
		refuse(400, "AccessDeniedException")
		return
	}
	switch operation {
	case "GetCallerIdentity":
		w.Header().Set("Content-Type", "text/xml")
		if a.noIdentity {
			w.WriteHeader(403)
			fmt.Fprint(w, `<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>no</Message></Error></ErrorResponse>`)
			return
		}
		fmt.Fprint(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/op</Arn><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	case "GetAccountSettings":
		fmt.Fprintf(w, `{"AccountLimit":{"ConcurrentExecutions":%d}}`, a.concurrency)
	case "ListServiceQuotas":
		a.page(w, r)
	case "GetParameter":
		if a.bootstrap == "" {
			refuse(400, "ParameterNotFound")
			return
		}
		fmt.Fprintf(w, `{"Parameter":{"Value":%q}}`, a.bootstrap)
	default:
		refuse(400, "UnknownOperationException")
	}
}

// page answers one quota a page.
func (a account) page(w http.ResponseWriter, r *http.Request) {
	var in struct{ NextToken string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	names := sorted(a.fargate)
	at := 0
	fmt.Sscan(in.NextToken, &at)
	out := map[string]any{"Quotas": []any{}}
	if at < len(names) {
		out["Quotas"] = []any{map[string]any{"QuotaName": names[at], "QuotaCode": fmt.Sprintf("L-%d", at), "Value": a.fargate[names[at]]}}
		if at+1 < len(names) {
			out["NextToken"] = fmt.Sprint(at + 1)
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// checked runs the command against an account.
func checked(t *testing.T, a account, args ...string) (code int, out, complaint string) {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	settings := filepath.Join(t.TempDir(), "cdk.json")
	if err := os.WriteFile(settings, []byte(`{"context":{"environments":{"dev":{"region":"eu-west-1","fleet_cap":40,"spot_first_attempts":true},
		"bound":{"region":"eu-west-1","fleet_cap":1,"account":"999999999999"},"bad":{}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(_ context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error) {
		var o config.LoadOptions
		for _, set := range options {
			if err := set(&o); err != nil {
				return aws.Config{}, err
			}
		}
		return aws.Config{Region: o.Region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
			Retryer: func() aws.Retryer { return aws.NopRetryer{} }}, nil
	}
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, settings, load, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func plenty() account {
	return account{concurrency: 1000, bootstrap: "30", fargate: map[string]float64{
		"Fargate On-Demand vCPU resource count": 4000, "Fargate Spot vCPU resource count": 4000,
		"Fargate On-Demand Sustained Launch Rate": 20, "Fargate Spot Sustained Launch Rate": 20}}
}

func TestEnoughIsEnough(t *testing.T) {
	code, out, complaint := checked(t, plenty(), "-env", "dev")
	if code != 0 || complaint != "" || !strings.Contains(out, "All is enough.") || strings.Count(out, " ok") != 6 || !strings.Contains(out, "123456789012") {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
}

func TestTooLittleSaysWhatToAskFor(t *testing.T) {
	a := plenty()
	a.concurrency, a.bootstrap, a.fargate["Fargate On-Demand vCPU resource count"] = 10, "", 6
	code, out, _ := checked(t, a, "-env", "dev")
	for _, want := range []string{
		"aws service-quotas request-service-quota-increase --region eu-west-1 --service-code lambda --quota-code L-B99A9384 --desired-value 20",
		"--service-code fargate --quota-code L-1 --desired-value 40", "make bootstrap",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if code != 1 || strings.Count(out, "--desired-value") != 2 {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestWhatMayNotBeAskedIsUnknown(t *testing.T) {
	for _, operation := range []string{"ListServiceQuotas", "GetParameter", "GetAccountSettings"} {
		a := plenty()
		a.denied = operation
		if code, out, _ := checked(t, a, "-env", "dev"); code != 1 || !strings.Contains(out, "unknown: AccessDeniedException") || !strings.Contains(out, "look it up by hand") {
			t.Errorf("%s: exit %d:\n%s", operation, code, out)
		}
	}
	a := plenty()
	delete(a.fargate, "Fargate Spot vCPU resource count")
	if code, out, _ := checked(t, a, "-env", "dev"); code != 1 || !strings.Contains(out, "no such quota") {
		t.Errorf("a quota that is not there: exit %d:\n%s", code, out)
	}
}

func TestWhoCannotAskIsToldInOneSentence(t *testing.T) {
	nobody := plenty()
	nobody.noIdentity = true
	for _, c := range []struct {
		why  string
		a    account
		args []string
		want string
	}{
		{"no credentials", nobody, []string{"-env", "dev"}, "are there credentials? (InvalidClientTokenId)"},
		{"another account", plenty(), []string{"-env", "bound"}, "123456789012, the settings for 999999999999"},
		{"no environment", plenty(), nil, `no environment ""`},
		{"settings that say nothing", plenty(), []string{"-env", "bad"}, "no region"},
	} {
		if code, out, complaint := checked(t, c.a, c.args...); code != 2 || out != "" || !strings.Contains(complaint, c.want) || strings.Count(complaint, "\n") != 1 {
			t.Errorf("%s: exit %d: %s%s", c.why, code, out, complaint)
		}
	}
}

// The settings that are really deployed can be read here too.
func TestTheProjectsSettingsAreRead(t *testing.T) {
	for _, name := range []string{"dev", "staging", "prod"} {
		if e, err := readEnvironment("../../../cdk.json", name); err != nil || e.FleetCap < 1 {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}
