package client

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"outpost/shared/contract"
)

// schema returns the names of a schema's properties, with those of the schema
// that it extends.
func properties(t *testing.T, name string) []string {
	t.Helper()
	doc, err := contract.Document()
	if err != nil {
		t.Fatal(err)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	var names []string
	for name != "" {
		s, ok := schemas[name].(map[string]any)
		if !ok {
			t.Fatalf("the contract has no schema %s", name)
		}
		p, _ := s["properties"].(map[string]any)
		for n := range p {
			names = append(names, n)
		}
		ref, _ := s["$ref"].(string)
		name = strings.TrimPrefix(ref, "#/components/schemas/")
	}
	return names
}

func fields(v any) []string {
	var names []string
	for f := range reflect.TypeOf(v).Fields() {
		if f.Anonymous {
			names = append(names, fields(reflect.Zero(f.Type).Interface())...)
		} else if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

func TestEveryFieldThatIsReadIsInTheContract(t *testing.T) {
	for name, v := range map[string]any{"Task": Task{}, "Run": Run{}, "Problem": Error{}, "TaskEvent": Event{}, "TaskEventPage": Events{}, "RunEventPage": Events{}, "Secret": Secret{}, "NewSecret": NewSecret{}, "SecretCheck": SecretCheck{}, "AuditEvent": AuditEvent{}, "AuditExportPage": AuditExports{}, "AuditExportHead": AuditHead{},
		"Billing": Billing{}, "PlanChange": PlanChange{}, "PageOfStripe": Page{}, "CheckoutWish": CheckoutWish{}, "PlanWish": PlanWish{}, "PortalWish": PortalWish{},
		"UsageReport": UsageReport{}, "UsageOfPeriod": Period{}, "UsageOfPart": Part{},
		"CreatedTenant": Tenant{}, "TenantLimits": TenantLimits{}, "RotatedKey": Key{}, "Limits": Limits{}, "TenantBilling": TenantBilling{}, "BillingSync": BillingSync{}} {
		known := properties(t, name)
		for _, f := range fields(v) {
			if !slices.Contains(known, f) {
				t.Errorf("the contract's %s has no %s", name, f)
			}
		}
	}
}

func TestARequestCanSayAllThatTheContractTakes(t *testing.T) {
	for name, v := range map[string]any{"NewTask": NewTask{}, "NewKey": NewKey{}, "NewTenant": NewTenant{}, "TenantChange": TenantChange{}} {
		want, got := properties(t, name), fields(v)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s: the client sends %v, the contract takes %v", name, got, want)
		}
	}
}
