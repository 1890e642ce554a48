package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"outpost/shared/api"
	"outpost/shared/api/apitest"
	"outpost/shared/contract"
	"outpost/shared/id"
	"outpost/shared/problem"
	"outpost/shared/topology"
)

// schemas reads the contract's schemas as they are written.
type schemas struct{ root map[string]any }

func contractSchemas(t *testing.T) schemas {
	t.Helper()
	doc, err := contract.Document()
	if err != nil {
		t.Fatal(err)
	}
	return schemas{doc}
}

// at follows what a schema refers to.
func (s schemas) at(node any) map[string]any {
	out, err := contract.Follow(node)
	if err != nil {
		panic(err)
	}
	return out
}

// kinds are the types of a schema's values but null, and whether they may be null.
func kinds(schema map[string]any) (all []string, nullable bool) {
	switch v := schema["type"].(type) {
	case string:
		all = []string{v}
	case []any:
		for _, k := range v {
			if k == "null" {
				nullable = true
			} else {
				all = append(all, k.(string))
			}
		}
	}
	return all, nullable
}

// goType is the narrowest Go type that a handler reads a schema's values into.
func (s schemas) goType(node any) reflect.Type {
	schema := s.at(node)
	all, _ := kinds(schema)
	if len(all) != 1 {
		return reflect.TypeFor[any]()
	}
	switch all[0] {
	case "integer":
		return reflect.TypeFor[*int]()
	case "number":
		return reflect.TypeFor[*float64]()
	case "boolean":
		return reflect.TypeFor[*bool]()
	case "string":
		if schema["format"] == "date-time" {
			return reflect.TypeFor[*time.Time]()
		}
		return reflect.TypeFor[*string]()
	case "array":
		return reflect.SliceOf(s.goType(schema["items"]))
	}
	properties, _ := schema["properties"].(map[string]any)
	var fields []reflect.StructField
	for i, name := range slices.Sorted(maps.Keys(properties)) {
		fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(i), Type: s.goType(properties[name]), Tag: reflect.StructTag(fmt.Sprintf("json:%q", name))})
	}
	return reflect.PointerTo(reflect.StructOf(fields))
}

// maker writes values of a schema as JSON, most of them valid, in all the ways in
// which JSON lets one write them.
type maker struct {
	schemas
	t     *rapid.T
	spoil bool // now and then it writes something else
}

func (m maker) value(node any) string {
	schema := m.at(node)
	if m.spoil && rapid.IntRange(0, 5).Draw(m.t, "spoils") == 0 {
		return rapid.SampledFrom([]string{"null", "true", `""`, `" "`, "[]", "{}", "-1", "0.5", "1e400", "-1e19", "9223372036854775808", "1e-400", `"2026-12-31T23:59:60Z"`, `"\u0000"`, `"\ud800"`}).Draw(m.t, "spoiled")
	}
	for _, either := range []string{"oneOf", "anyOf"} {
		if branches, ok := schema[either].([]any); ok {
			return m.value(rapid.SampledFrom(branches).Draw(m.t, "branch"))
		}
	}
	if values, ok := schema["enum"].([]any); ok {
		return encode(rapid.SampledFrom(values).Draw(m.t, "one of"))
	}
	all, nullable := kinds(schema)
	if nullable && rapid.IntRange(0, 3).Draw(m.t, "null") == 0 {
		return "null"
	}
	switch rapid.SampledFrom(all).Draw(m.t, "type") {
	case "integer":
		return m.integer(schema)
	case "number":
		return encode(rapid.Float64Range(bound(schema, "minimum", -1e300), bound(schema, "maximum", 1e300)).Draw(m.t, "number"))
	case "boolean":
		return rapid.SampledFrom([]string{"true", "false"}).Draw(m.t, "boolean")
	case "string":
		return encode(m.text(schema))
	case "array":
		n := rapid.IntRange(int(bound(schema, "minItems", 0)), int(min(bound(schema, "maxItems", 3), bound(schema, "minItems", 0)+3))).Draw(m.t, "length")
		out := make([]string, n)
		for i := range out {
			out[i] = m.value(schema["items"])
		}
		return "[" + strings.Join(out, ",") + "]"
	}
	return m.object(schema)
}

func (m maker) object(schema map[string]any) string {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		must := slices.Contains(required, any(name)) && (!m.spoil || rapid.IntRange(0, 9).Draw(m.t, "keeps") > 0)
		if must || rapid.Bool().Draw(m.t, "has "+name) {
			out = append(out, encode(name)+":"+m.value(properties[name]))
		}
	}
	return "{" + strings.Join(out, ",") + "}"
}

// integer writes a whole number in plain digits, with a point or with an exponent.
func (m maker) integer(schema map[string]any) string {
	low, high := int64(bound(schema, "minimum", -1<<62)), int64(bound(schema, "maximum", 1<<62))
	n := rapid.OneOf(rapid.Int64Range(low, high), rapid.Int64Range(low, min(high, low+9)), rapid.Just(low), rapid.Just(high)).Draw(m.t, "integer")
	text := strconv.FormatInt(n, 10)
	switch rapid.IntRange(0, 3).Draw(m.t, "written") {
	case 0:
		return text + "." + strings.Repeat("0", rapid.IntRange(1, 4).Draw(m.t, "zeros"))
	case 1:
		return strconv.FormatFloat(float64(n), 'e', -1, 64)
	case 2:
		return text + "0000E-4"
	}
	return text
}

func (m maker) text(schema map[string]any) string {
	if schema["format"] == "date-time" {
		return rapid.OneOf(rapid.SampledFrom([]string{"2026-12-31T23:59:60Z", "2026-12-31t23:59:59z", "2026-12-31T23:59:59,5Z", "2026-12-31T9:59:59Z", "9999-12-31T23:59:59-12:00",
			"0000-01-01T00:00:00+12:00", "2026-12-31T23:59:59+24:00", "2026-02-29T00:00:00Z", "2026-11-23 10:00:00Z"}),
			rapid.StringMatching(`2026-1[0-2]-[0-2][1-8][Tt](0[0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,12})?([Zz]|[+-](0[0-9]|1[0-4]):[0-5][0-9])`)).Draw(m.t, "time")
	}
	if schema["format"] == "date" {
		return rapid.StringMatching(`2026-[01][0-9]-[0-3][0-9]`).Draw(m.t, "date")
	}
	if pattern, ok := schema["pattern"].(string); ok {
		return rapid.StringMatching(pattern).Draw(m.t, "text")
	}
	return rapid.StringN(int(bound(schema, "minLength", 0)), int(bound(schema, "maxLength", 20)), -1).Draw(m.t, "text")
}

func bound(schema map[string]any, name string, otherwise float64) float64 {
	switch v := schema[name].(type) {
	case int:
		return float64(v)
	case float64:
		return v
	}
	return otherwise
}

func encode(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// reached is a refusal of the handler's own, which each route with a body may answer.
var reached = api.Invalid(problem.Field{Field: "/reached", Message: "came as far as that"})

// Whatever the contract accepts, a handler can read; what it does not is refused
// before the handler.
func TestWhatTheContractAcceptsDecodes(t *testing.T) {
	s := contractSchemas(t)
	for _, r := range topology.Routes {
		op, err := contract.Load(r.Method, r.Path)
		if err != nil {
			t.Fatal(err)
		}
		if !op.HasBody || foreign(r) {
			continue
		}
		t.Run(op.ID, func(t *testing.T) {
			raw := s.root["paths"].(map[string]any)[r.Path].(map[string]any)[strings.ToLower(r.Method)].(map[string]any)
			schema := s.at(raw["requestBody"])["content"].(map[string]any)["application/json"].(map[string]any)["schema"]
			target, decoded, refused := s.goType(schema), 0, 0
			reads := func(_ context.Context, q *api.Request) (api.Response, error) {
				if err := q.Decode(reflect.New(target).Interface()); err != nil {
					return api.Response{}, err
				}
				decoded++
				return api.Response{}, reached
			}
			route := apitest.Serve(t, r.Method, r.Path, reads)
			context := authorizer(t, r)
			rapid.Check(t, func(rt *rapid.T) {
				body, before := (maker{s, rt, rapid.Bool().Draw(rt, "spoil")}).value(schema), decoded
				a := route.Call(context, apitest.Request{ID: idFor(r), Body: body, Header: map[string]string{"Content-Type": "application/json"}})
				if decoded == before {
					refused++
				}
				if a.Status < 400 || a.Status > 499 {
					rt.Fatalf("%s: %d %s", body, a.Status, a.Body)
				}
			})
			if decoded == 0 || refused == 0 {
				t.Errorf("%d were decoded and %d refused: this shows nothing", decoded, refused)
			}
		})
	}
}

func TestWholeNumbersArriveHoweverTheyAreWritten(t *testing.T) {
	r := topology.Routes[0]
	var in struct {
		TimeoutSeconds int     `json:"timeout_seconds"`
		BudgetUSD      float64 `json:"budget_usd"`
	}
	route := apitest.Serve(t, r.Method, r.Path, func(_ context.Context, q *api.Request) (api.Response, error) {
		if err := q.Decode(&in); err != nil {
			return api.Response{}, err
		}
		return api.Response{}, reached
	})
	for written, want := range map[string]int{"300": 300, "300.0": 300, "3e2": 300, "3E+2": 300, "0.03e4": 300, "30000e-2": 300, "300.00e0": 300, "1.2E1": 12, "12.50e1": 125, "3600.000000000000": 3600} {
		in.TimeoutSeconds = 0
		route.Call(authorizer(t, r), apitest.Request{Body: `{"repo":"https://h/a/b","prompt":"p","agents":["claude"],"budget_usd":2.50,"timeout_seconds":` + written + `}`}).Refused(t, problem.ValidationFailed, "/reached")
		if in.TimeoutSeconds != want || in.BudgetUSD != 2.5 {
			t.Errorf("%s arrives as %d, and 2.50 as %v", written, in.TimeoutSeconds, in.BudgetUSD)
		}
	}
	for _, written := range []string{"300.5", "3e-1", "1e19", "1e400", "-0.0", "0e400", "9223372036854775808.0", "3e3.0", "1e999999999"} {
		a := route.Call(authorizer(t, r), apitest.Request{Body: `{"repo":"https://h/a/b","prompt":"p","agents":["claude"],"timeout_seconds":` + written + `}`})
		if a.Status != 422 && a.Status != 400 || strings.Contains(string(a.Body), "/reached") {
			t.Errorf("%s: %d %s", written, a.Status, a.Body)
		}
	}
}

// A parameter that the contract accepts is one that its readers can read.
func TestWhatTheContractAcceptsOfAParameterCanBeRead(t *testing.T) {
	s, seen := contractSchemas(t), map[string]int{}
	for _, r := range topology.Routes {
		op, err := contract.Load(r.Method, r.Path)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := s.root["paths"].(map[string]any)[r.Path].(map[string]any)[strings.ToLower(r.Method)].(map[string]any)["parameters"].([]any)
		for i, p := range op.Parameters {
			schema := s.at(s.at(raw[i])["schema"])
			read := reader(p, schema)
			if read == nil {
				continue
			}
			t.Run(op.ID+" "+p.Name, func(t *testing.T) {
				rapid.Check(t, func(rt *rapid.T) {
					text := (maker{s, rt, rapid.Bool().Draw(rt, "spoil")}).value(schema)
					var unquoted string
					if json.Unmarshal([]byte(text), &unquoted) == nil {
						text = unquoted
					}
					if p.Check(text) != "" {
						return
					}
					seen[p.Name]++
					if err := read(text); err != nil {
						rt.Fatalf("%q passes: %v", text, err)
					}
				})
			})
		}
	}
	for _, name := range []string{"limit", "since", "until", "from", "to", "after", "wait", "id"} {
		if seen[name] == 0 {
			t.Errorf("no %s was accepted: this shows nothing", name)
		}
	}
}

// reader is how handlers read a parameter; nil for one that is taken as it is.
func reader(p contract.Parameter, schema map[string]any) func(string) error {
	pattern, _ := schema["pattern"].(string)
	switch {
	case schema["type"] == "integer":
		return func(text string) error { _, err := strconv.Atoi(text); return err }
	case schema["format"] == "date-time":
		return func(text string) error {
			_, err := (&api.Request{Query: map[string]string{p.Name: text}}).Time(p.Name)
			return err
		}
	case schema["format"] == "date":
		return func(text string) error { _, err := time.Parse(time.DateOnly, text); return err }
	case strings.HasPrefix(pattern, "^run_"):
		return func(text string) error { _, _, err := id.SplitRun(text); return err }
	case p.In == "path" && pattern != "":
		kind, _, _ := strings.Cut(strings.TrimPrefix(pattern, "^"), "_")
		return func(text string) error { _, err := id.ULID(id.Kind(kind), text); return err }
	}
	return nil
}
