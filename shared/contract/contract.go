// Package contract holds the API's contract, openapi.yaml, and checks requests
// and answers against it. OpenAPI 3.1 schemas are JSON Schema 2020-12, so a
// JSON Schema library reads them where they stand; an operation compiles only
// the schemas that it needs.
package contract

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"outpost/shared/problem"
)

// YAML is the contract.
//
//go:embed openapi.yaml
var YAML []byte

// base names the contract among schemas.
const base = "outpost:openapi"

// document parses the contract once.
var document = sync.OnceValues(func() (map[string]any, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(YAML, &doc); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	return doc, nil
})

// Document returns the parsed contract, which must not be changed.
func Document() (map[string]any, error) { return document() }

// Parameter is a query or header parameter of an operation, or one in its path.
type Parameter struct {
	Name     string
	In       string // query, header or path
	Required bool

	schema *jsonschema.Schema
	kind   string // JSON type of its value
	words  *speaker
}

// Operation is one method of one path.
type Operation struct {
	ID         string
	Scope      string
	Parameters []Parameter
	// BodyRequired tells whether a body must be sent; HasBody whether one may.
	BodyRequired, HasBody bool
	body                  *jsonschema.Schema
	words                 *speaker
	raw                   map[string]any
	pointer               string
}

// Load returns the operation of a method and a path as the contract writes it.
func Load(method, path string) (*Operation, error) {
	doc, err := document()
	if err != nil {
		return nil, err
	}
	paths, _ := doc["paths"].(map[string]any)
	item, _ := paths[path].(map[string]any)
	raw, ok := item[strings.ToLower(method)].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("contract: no operation %s %s", method, path)
	}
	o := &Operation{raw: raw, pointer: "/paths/" + escape(path) + "/" + strings.ToLower(method), words: &speaker{doc}}
	o.ID, _ = raw["operationId"].(string)
	o.Scope, _ = raw["x-scope"].(string)
	c, err := compiler(doc)
	if err != nil {
		return nil, err
	}
	parameters, _ := raw["parameters"].([]any)
	for i := range parameters {
		p, at, err := resolve(doc, o.pointer+"/parameters/"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		schema, err := c.Compile(base + "#" + at + "/schema")
		if err != nil {
			return nil, fmt.Errorf("contract: %w", err)
		}
		target, _, err := resolve(doc, at+"/schema")
		if err != nil {
			return nil, err
		}
		parameter := Parameter{schema: schema, words: o.words}
		parameter.Name, _ = p["name"].(string)
		parameter.In, _ = p["in"].(string)
		parameter.Required, _ = p["required"].(bool)
		parameter.kind, _ = target["type"].(string)
		o.Parameters = append(o.Parameters, parameter)
	}
	if _, ok := raw["requestBody"]; ok {
		body, at, err := resolve(doc, o.pointer+"/requestBody")
		if err != nil {
			return nil, err
		}
		o.HasBody = true
		o.BodyRequired, _ = body["required"].(bool)
		if o.body, err = c.Compile(base + "#" + at + "/content/application~1json/schema"); err != nil {
			return nil, fmt.Errorf("contract: %w", err)
		}
	}
	return o, nil
}

// CheckBody returns what is wrong with a decoded JSON body, or nil.
func (o *Operation) CheckBody(body any) []problem.Field {
	return o.words.fields(o.body.Validate(body))
}

// Check returns what is wrong with a parameter's text, or "".
func (p Parameter) Check(text string) string {
	var value any = text
	if p.kind == "integer" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "must be a whole number"
		}
		value = n
	}
	if fields := p.words.fields(p.schema.Validate(value)); len(fields) > 0 {
		return fields[0].Message
	}
	return ""
}

// CheckAnswer returns an error unless the contract has this status, content
// type and body for the operation. body is decoded JSON; nil for other types.
func (o *Operation) CheckAnswer(status int, contentType string, body any) error {
	doc, err := document()
	if err != nil {
		return err
	}
	answer, at, err := resolve(doc, o.pointer+"/responses/"+strconv.Itoa(status))
	if err != nil {
		return fmt.Errorf("%s does not answer %d", o.ID, status)
	}
	content, _ := answer["content"].(map[string]any)
	mediaType, _, _ := strings.Cut(contentType, ";")
	media, ok := content[mediaType].(map[string]any)
	if !ok {
		if len(content) == 0 {
			return nil
		}
		return fmt.Errorf("%s does not answer %d with %q", o.ID, status, contentType)
	}
	if media["schema"] == nil {
		return nil
	}
	c, err := compiler(doc)
	if err != nil {
		return err
	}
	schema, err := c.Compile(base + "#" + at + "/content/" + escape(mediaType) + "/schema")
	if err != nil {
		return err
	}
	if err := schema.Validate(body); err != nil {
		return fmt.Errorf("%s answers %d with a body that is not in the contract: %w", o.ID, status, err)
	}
	return nil
}

func compiler(doc map[string]any) (*jsonschema.Compiler, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.RegisterFormat(&jsonschema.Format{Name: "date-time", Validate: dateTime})
	if err := c.AddResource(base, doc); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	return c, nil
}

// dateTime takes what a handler's time.Time does, and what is written in UTC with
// the four digits of RFC 3339 again: no leap second, no lower case.
func dateTime(v any) error {
	text, ok := v.(string)
	if !ok {
		return nil
	}
	var at time.Time
	if err := at.UnmarshalText([]byte(text)); err != nil {
		return err
	}
	_, err := at.UTC().MarshalText()
	return err
}

// Follow returns a part of the contract with what it refers to: what stands beside
// a reference comes before what stands behind it, and members of both are together.
func Follow(node any) (map[string]any, error) {
	doc, err := document()
	if err != nil {
		return nil, err
	}
	object, _ := node.(map[string]any)
	out := maps.Clone(object)
	for range 8 {
		ref, ok := object["$ref"].(string)
		if !ok {
			delete(out, "$ref")
			return out, nil
		}
		behind, err := at(doc, strings.TrimPrefix(ref, "#"))
		if err != nil {
			return nil, err
		}
		object, _ = behind.(map[string]any)
		for name, value := range object {
			out[name] = together(out[name], value)
		}
	}
	return nil, fmt.Errorf("contract: a part refers in circles")
}

// together joins properties and lists of names; of anything else the first counts.
func together(first, then any) any {
	switch f := first.(type) {
	case nil:
		return then
	case map[string]any:
		t, _ := then.(map[string]any)
		out := maps.Clone(t)
		maps.Copy(out, f)
		return out
	case []any:
		t, _ := then.([]any)
		return slices.Concat(t, f)
	}
	return first
}

// resolve returns the object at a JSON pointer, following $ref, and where it
// really stands.
func resolve(doc map[string]any, pointer string) (map[string]any, string, error) {
	for range 8 {
		node, err := at(doc, pointer)
		if err != nil {
			return nil, "", err
		}
		object, ok := node.(map[string]any)
		if !ok {
			return nil, "", fmt.Errorf("contract: %s is no object", pointer)
		}
		ref, ok := object["$ref"].(string)
		if !ok {
			return object, pointer, nil
		}
		pointer = strings.TrimPrefix(ref, "#")
	}
	return nil, "", fmt.Errorf("contract: %s refers in circles", pointer)
}

func at(doc any, pointer string) (any, error) {
	for _, part := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch node := doc.(type) {
		case map[string]any:
			next, ok := node[part]
			if !ok {
				return nil, fmt.Errorf("contract: nothing at %s", pointer)
			}
			doc = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(node) {
				return nil, fmt.Errorf("contract: nothing at %s", pointer)
			}
			doc = node[i]
		default:
			return nil, fmt.Errorf("contract: nothing at %s", pointer)
		}
	}
	return doc, nil
}

// escape writes a member's name for a JSON pointer inside a URL's fragment,
// where braces stand for themselves.
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
