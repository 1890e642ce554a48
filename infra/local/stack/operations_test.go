package stack_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"outpost/shared/contract"
	"outpost/shared/topology"
)

// operation is one of the contract, with what a request to it needs. Whatever
// the contract grows by is found here by itself; what this file cannot make a
// request of fails the test.
type operation struct {
	method, path, function string
	security               string // a security scheme of the contract; empty: open to all
	scope                  string
	kind                   string   // of the id in its path: tsk, run …; empty without one
	names                  []string // what the name in its path may be; nil without one
	cursor                 bool     // its query has one
	body                   any      // the contract's first example; nil where none is wanted
	bodyIDs                map[string]string
}

func (o operation) String() string { return o.method + " " + o.path }

// hasID tells whether the caller names something that could be another's.
func (o operation) hasID() bool { return o.kind != "" || o.names != nil }

// idPattern is how the contract writes the pattern of an id.
var idPattern = regexp.MustCompile(`^\^([a-z]{3})_`)

// operations reads the contract, safe methods first and deletions last.
func operations(t *testing.T) (all []operation) {
	t.Helper()
	doc, err := contract.Document()
	if err != nil {
		t.Fatal(err)
	}
	c := contractReader{t, doc}
	paths := doc["paths"].(map[string]any)
	for _, method := range []string{"get", "put", "post", "patch", "delete"} {
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			if raw, ok := paths[path].(map[string]any)[method].(map[string]any); ok {
				all = append(all, c.operation(strings.ToUpper(method), path, raw))
			}
		}
	}
	if len(all) != len(topology.Routes) {
		t.Fatalf("%d operations for %d routes", len(all), len(topology.Routes))
	}
	return all
}

type contractReader struct {
	t   *testing.T
	doc map[string]any
}

func (c contractReader) operation(method, path string, raw map[string]any) operation {
	c.t.Helper()
	o := operation{method: method, path: path, bodyIDs: map[string]string{}}
	o.scope, _ = raw["x-scope"].(string)
	for _, r := range topology.Routes {
		if r.Method == method && r.Path == path {
			o.function = r.Function
		}
	}
	security, ok := raw["security"].([]any)
	if !ok {
		security = c.doc["security"].([]any)
	}
	for _, s := range security {
		for name := range s.(map[string]any) {
			o.security = name
		}
	}
	parameters, _ := raw["parameters"].([]any)
	for _, p := range parameters {
		c.parameter(&o, c.object(p))
	}
	if raw["requestBody"] != nil {
		body := c.object(raw["requestBody"])
		content, _ := body["content"].(map[string]any)
		media, _ := content["application/json"].(map[string]any)
		examples, _ := media["examples"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(examples)) {
			if o.body == nil {
				o.body = c.object(examples[name])["value"]
			}
		}
		if required, _ := body["required"].(bool); required && media != nil && o.body == nil {
			c.t.Errorf("%s: the contract has no example of its body", o)
		}
		properties, _ := c.object(media["schema"])["properties"].(map[string]any)
		for name, schema := range properties {
			if kind := c.idKind(schema); kind != "" {
				o.bodyIDs[name] = kind
			}
		}
	}
	return o
}

func (c contractReader) parameter(o *operation, p map[string]any) {
	c.t.Helper()
	in, name, schema := p["in"].(string), p["name"].(string), c.object(p["schema"])
	switch in {
	case "path":
		if o.kind = c.idKind(schema); o.kind != "" {
			return
		}
		values, _ := schema["enum"].([]any)
		for _, v := range values {
			o.names = append(o.names, v.(string))
		}
		if o.names == nil {
			c.t.Errorf("%s: this test does not know what {%s} is", o, name)
		}
	case "query":
		if name == "cursor" {
			o.cursor = true
		} else if c.idKind(schema) != "" {
			c.t.Errorf("%s: this test does not send the id %s", o, name)
		}
	}
}

// idKind is the prefix of the ids that a schema allows, or "".
func (c contractReader) idKind(schema any) string {
	pattern, _ := c.object(schema)["pattern"].(string)
	if m := idPattern.FindStringSubmatch(pattern); m != nil {
		return m[1]
	}
	return ""
}

// object follows $ref.
func (c contractReader) object(node any) map[string]any {
	c.t.Helper()
	object, _ := node.(map[string]any)
	ref, ok := object["$ref"].(string)
	if !ok {
		return object
	}
	var at any = c.doc
	for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[part]
	}
	return c.object(at)
}

// request makes the path and the body of a request that names a thing, in the
// path or, where field says so, in the body beside a path of the caller's own.
func (o operation) request(thing, field, own string) (path string, body any) {
	body = o.body
	if field != "" {
		changed := map[string]any{}
		if example, ok := o.body.(map[string]any); ok {
			maps.Copy(changed, example)
		}
		changed[field] = thing
		body, thing = changed, own
	}
	if body != nil { // world.call wants a body of its own
		if text, err := json.Marshal(body); err == nil {
			body = string(text)
		}
	}
	path = o.path
	if from := strings.Index(path, "{"); from >= 0 {
		path = path[:from] + thing + path[strings.Index(path, "}")+1:]
	}
	return path, body
}
