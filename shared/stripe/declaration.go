package stripe

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/shared/plan"
	"outpost/shared/topology"
)

// Declaration is what an Outpost has at Stripe: the content of shop.json, or of a
// file of the operator's. What a plan costs is not in it: package plan says that.
type Declaration struct {
	// APIVersion is the version that webhooks come in: the one that this Outpost
	// reads, and no other.
	APIVersion string             `json:"api_version"`
	Products   map[string]Product `json:"products"` // by the name of the paid plan
	Portal     Portal             `json:"portal"`
	Webhook    Webhook            `json:"webhook"`
}

// Product is what a plan is sold as. Its id is also the lookup key of its price.
type Product struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Portal is what a tenant can do in Stripe's billing portal. Changing the plan is
// not among it: docs/decisions/0017.
type Portal struct {
	Headline          string `json:"headline"`
	Invoices          bool   `json:"invoices"`
	Card              bool   `json:"card"`
	CancelAtPeriodEnd bool   `json:"cancel_at_period_end"`
}

// Webhook is where Stripe's events go, below Outpost's URL, and which.
type Webhook struct {
	Path   string   `json:"path"`
	Events []string `json:"events"`
}

//go:embed shop.json
var shopFile []byte

// Declared is the declaration that comes with this Outpost.
var Declared = func() Declaration {
	d, err := parse(shopFile)
	if err != nil {
		panic("shared/stripe/shop.json: " + err.Error())
	}
	return d
}()

// Events are the types of events that Outpost listens to; each makes it look at
// its customer's latest objects. charge.dispute.created alone makes it look at
// none: a dispute names no customer, and changes no plan until money is given back
// or a subscription ends, which have events of their own. It is there to be seen, at
// Stripe and in the log.
var Events = Declared.Webhook.Events

// ReadDeclaration reads the operator's own declaration. It may name things
// otherwise and listen to more events than Declared, not to fewer. The error is
// one sentence that says what is wrong.
func ReadDeclaration(text []byte) (Declaration, error) {
	d, err := parse(text)
	if err != nil {
		return Declaration{}, err
	}
	for _, e := range Events {
		if !slices.Contains(d.Webhook.Events, e) {
			return Declaration{}, fmt.Errorf("webhook.events lacks %s, which Outpost needs", e)
		}
	}
	return d, nil
}

func parse(text []byte) (d Declaration, err error) {
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&d); err != nil {
		return Declaration{}, fmt.Errorf("it is not the JSON that it should be: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if in.More() {
		return Declaration{}, errors.New("there is more behind the JSON object")
	}
	return d, d.check()
}

// productID is what Stripe takes as the id of a product, and as a lookup key.
var productID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`)

func webhookRoute(path string) bool {
	return slices.ContainsFunc(topology.Routes, func(r topology.Route) bool {
		return r.Function == "stripe/webhook" && r.Path == path
	})
}

func (d Declaration) check() error {
	switch {
	case d.APIVersion != sdk.APIVersion:
		return fmt.Errorf("api_version is %q, and this Outpost reads %s alone", d.APIVersion, sdk.APIVersion)
	case d.Portal.Headline == "":
		return errors.New("portal.headline is empty")
	case !webhookRoute(d.Webhook.Path):
		return fmt.Errorf("webhook.path %q is not the path at which this Outpost takes webhooks", d.Webhook.Path)
	case len(d.Webhook.Events) == 0:
		return errors.New("webhook.events is empty")
	}
	ids := map[string]bool{}
	for name, p := range d.Products {
		if known, ok := plan.Lookup(name); !ok || known.PriceUSD == 0 {
			return fmt.Errorf("products: %q is no plan that is paid for", name)
		}
		if !productID.MatchString(p.ID) || p.Name == "" || ids[p.ID] {
			return fmt.Errorf("products.%s must have a name, and an id of its own of letters, digits, _ and -", name)
		}
		ids[p.ID] = true
	}
	for _, p := range plan.All() {
		if _, ok := d.Products[p.Name]; !ok && p.PriceUSD > 0 {
			return fmt.Errorf("products: the plan %s is missing", p.Name)
		}
	}
	return nil
}
