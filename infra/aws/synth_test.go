package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"outpost/shared/topology"
)

// clouds are the templates of every environment, synthesised once.
var clouds = map[string]cloud{}

// cloud is the templates of one environment, by stack.
type cloud map[string]template

// template is a CloudFormation template, as far as tests look at it.
type template struct {
	Resources map[string]resource
	Outputs   map[string]struct {
		Value  any
		Export struct{ Name string }
	}
	raw []byte
}

type resource struct {
	Type                                string
	Properties                          map[string]any
	DependsOn                           any
	DeletionPolicy, UpdateReplacePolicy string
	Metadata                            map[string]any

	stack, id string
}

// root is the module's folder: cdk.json stands there.
const root = "../.."

func TestMain(m *testing.M) {
	os.Exit(func() int {
		defer jsii.Close()
		assets, err := stubs()
		if err == nil {
			defer os.RemoveAll(filepath.Dir(assets.Functions))
			err = synthesise(assets)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func synthesise(assets Assets) (err error) {
	for _, name := range names {
		if clouds[name], err = synth(environment(name), assets); err != nil {
			return err
		}
	}
	// Once more: whatever depends on the moment or on the order of a map differs.
	clouds["dev again"], err = synth(environment("dev"), assets)
	return err
}

// stubs are functions that weigh nothing.
func stubs() (Assets, error) {
	dir, err := os.MkdirTemp("", "outpost-assets-")
	if err != nil {
		return Assets{}, err
	}
	a := Assets{Functions: filepath.Join(dir, "functions"), ImageTag: "0123456789abcdef"}
	for _, f := range topology.Functions {
		folder := filepath.Join(a.Functions, path.Base(f.Name))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return a, err
		}
		if err := os.WriteFile(filepath.Join(folder, "bootstrap"), []byte(f.Name), 0o755); err != nil {
			return a, err
		}
	}
	return a, nil
}

// settings is cdk.json's context.
func settings() map[string]any {
	raw, err := os.ReadFile(filepath.Join(root, "cdk.json"))
	if err != nil {
		panic(err)
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(raw, &file); err != nil {
		panic(err)
	}
	return file.Context
}

// environment is one of cdk.json.
func environment(name string) Environment {
	raw, err := json.Marshal(settings()["environments"])
	if err != nil {
		panic(err)
	}
	e, err := readEnvironment(name, raw)
	if err != nil {
		panic(err)
	}
	return e
}

// newApp is an app under cdk.json's context, which NewApp leaves out in tests.
func newApp(dir string) awscdk.App {
	context := settings()
	return awscdk.NewApp(&awscdk.AppProps{Context: &context, Outdir: jsii.String(dir), AnalyticsReporting: jsii.Bool(false)})
}

// synth makes the templates of an environment.
func synth(e Environment, a Assets) (cloud, error) {
	dir, err := os.MkdirTemp("", "outpost-synth-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	app := newApp(dir)
	deploy(app, e, a)
	app.Synth(nil)
	return readCloud(dir, e)
}

func readCloud(dir string, e Environment) (cloud, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.template.json"))
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("nothing was synthesised: %w", err)
	}
	c := cloud{}
	for _, file := range found {
		stack := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), e.prefix()+"-"), ".template.json")
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		t := template{raw: raw}
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, err
		}
		for id, r := range t.Resources {
			r.stack, r.id = stack, id
			t.Resources[id] = r
		}
		c[stack] = t
	}
	return c, nil
}

// all lists the resources of a type, in order; of every type when it is empty.
func (c cloud) all(kind string) (found []resource) {
	for _, stack := range slices.Sorted(maps.Keys(c)) {
		for _, id := range slices.Sorted(maps.Keys(c[stack].Resources)) {
			if r := c[stack].Resources[id]; kind == "" || r.Type == kind {
				found = append(found, r)
			}
		}
	}
	return found
}

// text writes a value as a string, with references as ${stack/id.attribute}; a
// reference to another stack leads to what that one exports.
func (c cloud) text(stack string, v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Sprint(v)
	}
	switch {
	case m["Ref"] != nil:
		if name := m["Ref"].(string); strings.HasPrefix(name, "AWS::") {
			return "${" + name + "}"
		}
		return fmt.Sprintf("${%s/%s}", stack, m["Ref"])
	case m["Fn::GetAtt"] != nil:
		parts := m["Fn::GetAtt"].([]any)
		return fmt.Sprintf("${%s/%s.%s}", stack, parts[0], parts[1])
	case m["Fn::Join"] != nil:
		parts := m["Fn::Join"].([]any)
		var texts []string
		for _, p := range parts[1].([]any) {
			texts = append(texts, c.text(stack, p))
		}
		return strings.Join(texts, parts[0].(string))
	case m["Fn::ImportValue"] != nil:
		for other, t := range c {
			for _, o := range t.Outputs {
				if o.Export.Name == m["Fn::ImportValue"] {
					return c.text(other, o.Value)
				}
			}
		}
	}
	return fmt.Sprint(v)
}

// target is the resource that a text refers to at its beginning, and what
// follows the reference.
func (c cloud) target(text string) (r resource, attribute, rest string) {
	inner, rest, ok := strings.Cut(strings.TrimPrefix(text, "${"), "}")
	if !ok || !strings.HasPrefix(text, "${") {
		return resource{}, "", text
	}
	stack, id, _ := strings.Cut(inner, "/")
	id, attribute, _ = strings.Cut(id, ".")
	return c[stack].Resources[id], attribute, rest
}

// list is a property as a list, also where CloudFormation allows a single value.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// dig follows names through maps; nil where one is missing.
func dig(v any, names ...string) any {
	for _, n := range names {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[n]
	}
	return v
}

func (r resource) get(names ...string) any { return dig(r.Properties, names...) }

func (r resource) String() string { return r.stack + "/" + r.id }
