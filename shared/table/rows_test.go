package table

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/guregu/dynamo/v2"
	"pgregory.net/rapid"
)

// stored is one of each kind of row.
var stored = []any{
	taskRow{}, runRow{}, promptRow{}, queueRow{}, loadRow{}, meterRow{}, usageRow{}, rateRow{}, idempotencyRow{}, eventRow{},
	auditRow{}, ledgerRow{}, tenantRow{}, keyRow{}, ringRow{}, slotRow{}, secretRow{}, secretsRow{}, fleetRow{}, exportRow{}, exportLeaseRow{}, billingRow{}, customerRow{}, seenRow{},
}

// Whatever the domain holds comes back from its row as it was: empty strings,
// zero times, absent prices, nested documents.
func TestEveryRowComesBackAsItWas(t *testing.T) {
	for _, row := range stored {
		kind := reflect.TypeOf(row)
		t.Run(kind.Name(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want := reflect.New(kind)
				fill(t, want.Elem(), false)
				item, err := dynamo.MarshalItem(want.Interface())
				if err != nil {
					t.Fatal(err)
				}
				got := reflect.New(kind)
				if err := dynamo.UnmarshalItem(item, got.Interface()); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(want.Interface(), got.Interface()) {
					t.Fatalf("put %+v\ngot %+v", want.Elem(), got.Elem())
				}
			})
		})
	}
}

// The names and types under which rows lie in the table are a promise to the
// rows that are there already: a field of the domain that is renamed would be
// read as empty. A new field is a new line of the file; no line ever changes.
func TestTheStoredFormNeverChangesUnnoticed(t *testing.T) {
	var lines []string
	rapid.Check(t, func(t *rapid.T) {
		lines = nil
		for _, row := range stored {
			full := reflect.New(reflect.TypeOf(row))
			fill(t, full.Elem(), true)
			item, err := dynamo.MarshalItem(full.Interface())
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, paths(full.Elem().Type().Name(), &types.AttributeValueMemberM{Value: item})...)
		}
	})
	want, err := os.ReadFile("testdata/stored-form.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(lines, "\n") + "\n"; got != string(want) {
		t.Errorf("the stored form is now:\n%s", got)
	}
}

// fill sets every field of v. Filled whole it holds no empty value; else empty
// strings, zero times, nil pointers and empty slices are among the values.
func fill(t *rapid.T, v reflect.Value, whole bool) {
	switch v.Interface().(type) {
	case time.Time:
		if whole || rapid.Bool().Draw(t, "is set") {
			at := time.Unix(rapid.Int64Range(1, 1<<33).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
			v.Set(reflect.ValueOf(at.UTC()))
		}
		return
	case []byte:
		b := rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "bytes")
		v.SetBytes(b)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Field(i)
			if v.Type().Field(i).Name == "Runs" { // they are rows of their own
				field.Set(reflect.MakeSlice(field.Type(), 0, 0))
				continue
			}
			if v.Type().Field(i).Tag.Get("dynamo") == "-" {
				continue
			}
			if strings.Contains(v.Type().Field(i).Tag.Get("dynamo"), ",set") {
				fillSet(t, field, whole)
				continue
			}
			if v.Type().Field(i).Anonymous {
				field = reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem() // the embedded key
			}
			fill(t, field, whole)
		}
	case reflect.Pointer:
		if whole || rapid.Bool().Draw(t, "is there") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), whole)
		}
	case reflect.Slice:
		least := 0
		if whole {
			least = 1
		}
		n := rapid.IntRange(least, 3).Draw(t, "length")
		v.Set(reflect.MakeSlice(v.Type(), n, n)) // a nil slice comes back as an empty one
		for i := range n {
			fill(t, v.Index(i), whole)
		}
	case reflect.String:
		least := 0
		if whole {
			least = 1
		}
		v.SetString(rapid.StringN(least, 20, 60).Draw(t, "text"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "number"))
	case reflect.Float64:
		v.SetFloat(rapid.Float64Range(-1e12, 1e12).Draw(t, "real"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	default:
		t.Fatalf("a field of kind %s: teach fill about it", v.Kind())
	}
}

// fillSet fills a set of texts: none of them is empty or there twice, and a set
// without any is nil.
func fillSet(t *rapid.T, v reflect.Value, whole bool) {
	least := 0
	if whole {
		least = 1
	}
	if texts := rapid.SliceOfNDistinct(rapid.StringN(1, 20, 60), least, 3, rapid.ID[string]).Draw(t, "set"); len(texts) > 0 {
		v.Set(reflect.ValueOf(texts))
	}
}

// paths lists the names in a stored value with their types, sorted.
func paths(path string, v types.AttributeValue) []string {
	switch v := v.(type) {
	case *types.AttributeValueMemberM:
		var all []string
		for _, name := range slices.Sorted(maps.Keys(v.Value)) {
			all = append(all, paths(path+"."+name, v.Value[name])...)
		}
		return all
	case *types.AttributeValueMemberL:
		if len(v.Value) == 0 {
			return []string{path + "[]"}
		}
		return paths(path+"[]", v.Value[0])
	default:
		_, kind, _ := strings.Cut(fmt.Sprintf("%T", v), "Member")
		return []string{path + " " + kind}
	}
}
