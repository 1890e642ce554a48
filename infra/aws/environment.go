package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"

	"outpost/shared/billing"
	"outpost/shared/topology"
)

// Environment is one deployment of Outpost: what it may differ in from the
// others. It is an object below context.environments of cdk.json.
type Environment struct {
	Name string `json:"-"`

	// Account is the AWS account, twelve digits; empty takes the one whose
	// credentials deploy.
	Account string `json:"account"`
	Region  string `json:"region"`
	// AvailabilityZones are named, so that synthesis looks nothing up.
	AvailabilityZones []string `json:"availability_zones"`

	// Domain is the API's host name; empty leaves it with Amazon's. Certificate is
	// the ARN of its certificate in this region.
	Domain      string `json:"domain"`
	Certificate string `json:"certificate"`
	// AlarmEmail is told of alarms; empty tells nobody.
	AlarmEmail string `json:"alarm_email"`

	// SecretStore is where the values of tenants' secrets are; the table where
	// nothing is said.
	SecretStore       topology.SecretStore `json:"secret_store"`
	FleetCap          int                  `json:"fleet_cap"`           // runs in flight over all tenants
	SpotFirstAttempts bool                 `json:"spot_first_attempts"` // later attempts are always on demand
	// StripePrices is the one table of Stripe's prices, price=plan, comma
	// separated, of each plan the one that is sold first; empty where there is no
	// billing. StripeLive is for real money.
	StripePrices string `json:"stripe_prices"`
	StripeLive   bool   `json:"stripe_live"`
	// ReturnURLs are the origins that Stripe's pages may lead back to, each as
	// https://app.example.com; none where tenants use the client alone.
	ReturnURLs       []string `json:"return_urls"`
	LogRetentionDays int      `json:"log_retention_days"`
	// KeepData protects table, bucket and key from deletion, also that of their
	// stack.
	KeepData bool `json:"keep_data"`
	// ReservedConcurrency sets aside Lambda concurrency by function. New accounts
	// have 10 in all, so it is empty where nothing is said.
	ReservedConcurrency map[string]int `json:"reserved_concurrency"`
}

// retentions are the numbers of days that CloudWatch Logs knows, as far as they
// make sense here.
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365}

var (
	regionShape  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)
	accountShape = regexp.MustCompile(`^\d{12}$`)
	domainShape  = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$`)
	arnShape     = regexp.MustCompile(`^arn:aws:acm:([a-z0-9-]+):\d{12}:certificate/[0-9a-f-]+$`)
)

// names lists the environments.
var names = []string{"dev", "staging", "prod"}

// readEnvironment finds an environment in the JSON of context.environments. The
// error is one sentence that names what is wrong.
func readEnvironment(name string, environments []byte) (Environment, error) {
	if name == "" {
		return Environment{}, fmt.Errorf("say which environment: -c env=%s", strings.Join(names, ", -c env="))
	}
	if !slices.Contains(names, name) {
		return Environment{}, fmt.Errorf("there is no environment %q; there are %s", name, strings.Join(names, ", "))
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(environments, &all); err != nil {
		return Environment{}, errors.New("cdk.json has no object context.environments")
	}
	raw, ok := all[name]
	if !ok {
		return Environment{}, fmt.Errorf("cdk.json has no context.environments.%s", name)
	}
	e := Environment{Name: name, SecretStore: topology.InTable}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return Environment{}, fmt.Errorf("environment %s: %s", name, strings.TrimPrefix(err.Error(), "json: "))
	}
	if err := e.check(); err != nil {
		return Environment{}, fmt.Errorf("environment %s: %w", name, err)
	}
	return e, nil
}

func (e Environment) check() error {
	switch {
	case !regionShape.MatchString(e.Region):
		return fmt.Errorf("region %q is no AWS region", e.Region)
	case e.Account != "" && !accountShape.MatchString(e.Account):
		return fmt.Errorf("account %q is not twelve digits", e.Account)
	case len(e.AvailabilityZones) < 2:
		return errors.New("availability_zones must name two or more zones of the region")
	case (e.Domain == "") != (e.Certificate == ""):
		return errors.New("domain and certificate go together: give both or neither")
	case e.Domain != "" && !domainShape.MatchString(e.Domain):
		return fmt.Errorf("domain %q is no host name", e.Domain)
	case !slices.Contains(topology.SecretStores, e.SecretStore):
		return fmt.Errorf("secret_store must be one of %v", topology.SecretStores)
	case e.FleetCap < 1 || e.FleetCap > 5000:
		return errors.New("fleet_cap must be 1 to 5000")
	case e.StripeLive && e.StripePrices == "":
		return errors.New("stripe_live is true and stripe_prices is empty: say what is sold")
	case !slices.Contains(retentions, e.LogRetentionDays):
		return fmt.Errorf("log_retention_days must be one of %v", retentions)
	case e.Name == "prod" && !e.KeepData:
		return errors.New("keep_data must be true: production data outlives its stack")
	}
	if e.StripePrices != "" {
		if _, err := billing.ParsePrices(e.StripePrices); err != nil {
			return fmt.Errorf("stripe_prices: %w", err)
		}
	}
	for _, u := range e.ReturnURLs {
		if _, err := billing.ParseReturns(u); err != nil || u == "" || u == billing.Loopback || strings.Contains(u, ",") {
			return fmt.Errorf("return_urls: %q is no origin, as https://app.example.com", u)
		}
	}
	for _, z := range e.AvailabilityZones {
		if len(z) != len(e.Region)+1 || !strings.HasPrefix(z, e.Region) {
			return fmt.Errorf("availability_zones: %q is no zone of %s", z, e.Region)
		}
	}
	if m := arnShape.FindStringSubmatch(e.Certificate); e.Certificate != "" && (m == nil || m[1] != e.Region) {
		return fmt.Errorf("certificate must be the ARN of a certificate in %s", e.Region)
	}
	if a, err := mail.ParseAddress(e.AlarmEmail); e.AlarmEmail != "" && (err != nil || a.Address != e.AlarmEmail) {
		return fmt.Errorf("alarm_email %q is no address", e.AlarmEmail)
	}
	for f, n := range e.ReservedConcurrency {
		if _, ok := topology.FunctionByName(f); !ok {
			return fmt.Errorf("reserved_concurrency: there is no function %q", f)
		}
		if n < 1 {
			return fmt.Errorf("reserved_concurrency of %s must be 1 or more", f)
		}
	}
	return nil
}

// prefix begins the name of whatever has to have one.
func (e Environment) prefix() string { return "outpost-" + e.Name }
