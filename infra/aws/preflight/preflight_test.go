package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

const settings = `{"context":{"environments":{
	"dev":      {"region":"eu-west-1","fleet_cap":40,"spot_first_attempts":true},
	"ondemand": {"region":"eu-west-1","fleet_cap":40},
	"reserved": {"region":"eu-west-1","fleet_cap":4,"reserved_concurrency":{"scheduler":2,"workflow/launch":5}},
	"bound":    {"region":"eu-west-1","fleet_cap":1,"account":"999999999999"},
	"bad":      {}}}}`

// checked runs the command against an account.
func checked(t *testing.T, a awsAccount, args ...string) (code int, out, complaint string) {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return loaded(t, t.Context(), func(_ context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error) {
		var o config.LoadOptions
		for _, set := range options {
			if err := set(&o); err != nil {
				return aws.Config{}, err
			}
		}
		return aws.Config{Region: o.Region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
			Retryer: func() aws.Retryer { return aws.NopRetryer{} }}, nil
	}, args...)
}

func loaded(t *testing.T, ctx context.Context, load loader, args ...string) (code int, out, complaint string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cdk.json")
	if err := os.WriteFile(path, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code = run(ctx, args, path, load, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// row tells whether a row of the table reads so.
func row(out, what, have, need, verdict string) bool {
	return regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(what) + `\s+` + regexp.QuoteMeta(have) + `\s+` + regexp.QuoteMeta(need) + `\s+` + regexp.QuoteMeta(verdict) + `$`).MatchString(out)
}

func TestEnoughIsEnough(t *testing.T) {
	code, out, complaint := checked(t, plenty(), "-env", "dev")
	if code != 0 || complaint != "" || !strings.Contains(out, "All is enough.") {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
	if !strings.HasPrefix(out, "Account 123456789012 as arn:aws:iam::123456789012:user/op, region eu-west-1, for dev with 40 runs in flight.\n") {
		t.Errorf("it does not say who asks:\n%s", out)
	}
	for _, want := range [][3]string{
		{"Lambda concurrent executions", "1000", "20"},
		{"Fargate vCPUs, on demand", "4000", "40"}, {"Fargate launches a second, on demand", "20", "5"},
		{"Fargate vCPUs, Spot", "4000", "40"}, {"Fargate launches a second, Spot", "20", "5"},
		{"Step Functions starts a second", "150", "5"},
		{"API Gateway requests a second", "10000", "500"}, // AWS's default, where nothing is applied
		{"DynamoDB tables", "2500", "4"},
		{"CDK bootstrap version", "30", "21"},
	} {
		if !row(out, want[0], want[1], want[2], "ok") {
			t.Errorf("no row %v:\n%s", want, out)
		}
	}
	if strings.Count(out, " ok\n") != 9 {
		t.Errorf("other rows:\n%s", out)
	}
}

func TestSpotIsAskedForWhereItIsUsed(t *testing.T) {
	a := plenty()
	delete(a.applied, "fargate/Fargate Spot vCPU resource count")
	if code, out, _ := checked(t, a, "-env", "ondemand"); code != 0 || strings.Contains(out, "Spot") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	if code, out, _ := checked(t, a, "-env", "dev"); code != 1 || !strings.Contains(out, "unknown: there is no such quota in this region") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestTooLittleSaysWhatToAskFor(t *testing.T) {
	a := plenty()
	a.concurrency, a.bootstrap, a.tables = 10, "", 2500
	a.applied["fargate/Fargate On-Demand vCPU resource count"] = 2
	code, out, _ := checked(t, a, "-env", "dev")
	const ask = "  aws service-quotas request-service-quota-increase --region eu-west-1 "
	for _, want := range []string{
		ask + "--service-code fargate --quota-code L-3032A538 --desired-value 40\n",
		ask + "--service-code dynamodb --quota-code L-F98FE922 --desired-value 2501\n",
		// A new account has 10, and AWS refuses to be asked for less than its default.
		ask + "--service-code lambda --quota-code L-B99A9384 --desired-value 1001  # AWS takes no request up to its default of 1000",
		"  make bootstrap ENV=dev\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if code != 1 || strings.Count(out, "--desired-value") != 3 {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestABootstrapThatIsTooOldIsNotEnough(t *testing.T) {
	a := plenty()
	a.bootstrap = "20"
	if code, out, _ := checked(t, a, "-env", "dev"); code != 1 || !row(out, "CDK bootstrap version", "20", "21", "missing") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestWhatAWSRaisesForNobodyIsNotAskedFor(t *testing.T) {
	a := plenty()
	a.fixed = "fargate/Fargate On-Demand Sustained Launch Rate"
	a.applied[a.fixed] = 1
	if code, out, _ := checked(t, a, "-env", "dev"); code != 1 || strings.Contains(out, "--desired-value") || !strings.Contains(out, "# AWS does not raise Fargate launches a second, on demand") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestReservedConcurrencyComesOnTop(t *testing.T) {
	a := plenty()
	a.concurrency = 106
	if code, out, _ := checked(t, a, "-env", "reserved"); code != 1 || !row(out, "Lambda concurrent executions", "106", "107", "ask for more") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestWhatMayNotBeAskedIsUnknown(t *testing.T) {
	for _, c := range []struct{ denied, row, need string }{
		{"ListServiceQuotas/fargate", "Fargate vCPUs, on demand", "40"},
		{"ListServiceQuotas/apigateway", "API Gateway requests a second", "500"}, // the default may not be the account's
		{"ListAWSDefaultServiceQuotas/apigateway", "API Gateway requests a second", "500"},
		{"GetParameter", "CDK bootstrap version", "21"},
		{"GetAccountSettings", "Lambda concurrent executions", "20"},
		{"ListTables", "DynamoDB tables", "1"},
	} {
		a := plenty()
		a.denied[c.denied] = "AccessDeniedException"
		code, out, _ := checked(t, a, "-env", "dev")
		if code != 1 || !row(out, c.row, "?", c.need, "unknown: AccessDeniedException") || !strings.Contains(out, "# look it up by hand: "+c.row) || !strings.Contains(out, " ok\n") {
			t.Errorf("%s: exit %d:\n%s", c.denied, code, out)
		}
	}
	a := plenty() // Lambda itself tells what there is
	a.denied["ListServiceQuotas"], a.concurrency = "AccessDeniedException", 10
	if code, out, _ := checked(t, a, "-env", "dev"); code != 1 || !strings.Contains(out, "--service-code lambda --quota-code L-B99A9384 --desired-value 1001") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestWhoCannotAskIsToldInOneSentence(t *testing.T) {
	refused := plenty()
	refused.denied["GetCallerIdentity"] = "InvalidClientTokenId"
	for _, c := range []struct {
		why  string
		a    awsAccount
		args []string
		want string
	}{
		{"credentials that are refused", refused, []string{"-env", "dev"}, "AWS does not say whose credentials these are: InvalidClientTokenId"},
		{"another account", plenty(), []string{"-env", "bound"}, "123456789012, the settings for 999999999999"},
		{"no environment", plenty(), nil, `no environment ""`},
		{"settings that say nothing", plenty(), []string{"-env", "bad"}, "no region"},
	} {
		if code, out, complaint := checked(t, c.a, c.args...); code != 2 || out != "" || !strings.Contains(complaint, c.want) || strings.Count(complaint, "\n") != 1 {
			t.Errorf("%s: exit %d: %s%s", c.why, code, out, complaint)
		}
	}
}

// The SDK's own search for credentials, on a machine that has none.
func TestNoCredentialsAtAll(t *testing.T) {
	empty := t.TempDir()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", empty)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(empty, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(empty, "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	code, out, complaint := loaded(t, t.Context(), config.LoadDefaultConfig, "-env", "dev")
	if code != 2 || out != "" || !strings.HasPrefix(complaint, "preflight: there are no AWS credentials here, or they have expired: sign in") || strings.Count(complaint, "\n") != 1 {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
}

func TestAnInterruptedOneDoesNotJudge(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := r.Header.Get("X-Amz-Target")
		if strings.HasSuffix(target, ".ListServiceQuotas") {
			cancel()
			return
		}
		plenty().ServeHTTP(w, r)
	}))
	defer server.Close()
	code, out, complaint := loaded(t, ctx, func(context.Context, ...func(*config.LoadOptions) error) (aws.Config, error) {
		return aws.Config{Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}, nil
	}, "-env", "dev")
	if code != 2 || !strings.HasPrefix(out, "Account 123456789012") || strings.Contains(out, "WHAT") || complaint != "preflight: the account was not asked to the end: context canceled\n" {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
}

// The settings that are really deployed can be read here too.
func TestTheProjectsSettingsAreRead(t *testing.T) {
	for _, name := range []string{"dev", "staging", "prod"} {
		if e, err := readEnvironment("../../../cdk.json", name); err != nil || e.FleetCap < 1 || e.Name != name {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}
