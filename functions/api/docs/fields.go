package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"outpost/shared/contract"
)

// field is one field of a body, or a parameter.
type field struct {
	Within, Name string // runs[]. and id
	In           string // of a parameter: path, query or header
	Type         string
	Limits       []template.HTML
	Required     bool
	Description  template.HTML
}

// largest is the contract's bound of a count, which says nothing to people.
const largest = 1<<53 - 1

// fields lists what a schema's values hold, each under the path that leads to it.
func fields(node any) ([]field, error) { return within("", node) }

func within(path string, node any) (out []field, err error) {
	schema, _, err := meant(node)
	if err != nil {
		return nil, err
	}
	if branches, ok := schema["oneOf"].([]any); ok {
		for _, branch := range branches {
			more, err := within(path, branch)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
		return out, nil
	}
	if items := schema["items"]; items != nil {
		return within(strings.TrimSuffix(path, ".")+"[].", items)
	}
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range ordered(properties, required) {
		f, err := newField(name, properties[name])
		if err != nil {
			return nil, err
		}
		f.Within, f.Required = path, slices.Contains(required, any(name))
		more, err := within(path+name+".", properties[name])
		if err != nil {
			return nil, err
		}
		out = append(append(out, f), more...)
	}
	return out, nil
}

// ordered has what is required first, in the contract's own order.
func ordered(properties map[string]any, required []any) (names []string) {
	for _, r := range required {
		if name, ok := r.(string); ok && properties[name] != nil {
			names = append(names, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// meant is a schema without the null that may stand for its values.
func meant(node any) (schema map[string]any, nullable bool, err error) {
	if schema, err = contract.Follow(node); err != nil {
		return nil, false, err
	}
	branches, _ := schema["anyOf"].([]any)
	for _, branch := range branches {
		b, err := contract.Follow(branch)
		if err != nil {
			return nil, false, err
		}
		if b["type"] == "null" {
			nullable = true
			continue
		}
		for name, value := range b {
			if schema[name] == nil {
				schema[name] = value
			}
		}
	}
	return schema, nullable, nil
}

func newField(name string, node any) (field, error) {
	schema, nullable, err := meant(node)
	if err != nil {
		return field{}, err
	}
	f := field{Name: name, Description: prose(text(schema, "description"))}
	if f.Type, err = typeOf(schema); err != nil {
		return field{}, err
	}
	if nullable && !strings.HasSuffix(f.Type, "null") {
		f.Type += " or null"
	}
	of := schema
	if items := schema["items"]; items != nil {
		f.Limits = append(f.Limits, sizes(schema)...)
		if of, _, err = meant(items); err != nil {
			return field{}, err
		}
	}
	f.Limits = append(f.Limits, limits(of)...)
	return f, nil
}

// typeOf is a schema's type in a word or two.
func typeOf(schema map[string]any) (string, error) {
	var words []string
	switch t := schema["type"].(type) {
	case string:
		words = []string{t}
	case []any:
		for _, w := range t {
			words = append(words, fmt.Sprint(w))
		}
	}
	if branches, ok := schema["oneOf"].([]any); ok {
		for _, branch := range branches {
			b, _, err := meant(branch)
			if err != nil {
				return "", err
			}
			word, err := typeOf(b)
			if err != nil {
				return "", err
			}
			words = append(words, word)
		}
	}
	for i, w := range words {
		switch {
		case schema["format"] == "date-time" && w == "string":
			words[i] = "time"
		case schema["format"] == "date" && w == "string":
			words[i] = "day"
		case w == "array":
			items, _, err := meant(schema["items"])
			if err != nil {
				return "", err
			}
			of, err := typeOf(items)
			if err != nil {
				return "", err
			}
			words[i] = "list of " + of
		}
	}
	if value, ok := schema["const"]; ok && len(words) == 0 {
		words = []string{"always " + compact(value)}
	}
	return strings.Join(words, " or "), nil
}

// limits are what a value must be beside its type.
func limits(schema map[string]any) (out []template.HTML) {
	add := func(format string, args ...any) { out = append(out, prose(fmt.Sprintf(format, args...))) }
	if branches, ok := schema["oneOf"].([]any); ok {
		for _, branch := range branches {
			if b, _, err := meant(branch); err == nil {
				out = append(out, limits(b)...)
			}
		}
	}
	if values, ok := schema["enum"].([]any); ok {
		words := make([]string, 0, len(values))
		for _, v := range values {
			if v != nil {
				words = append(words, "`"+fmt.Sprint(v)+"`")
			}
		}
		add("%s", strings.Join(words, ", "))
	}
	if words := text(schema, "x-words"); words != "" {
		add("%s", strings.TrimPrefix(words, "must be "))
	}
	out = append(out, sizes(schema)...)
	if value, ok := schema["default"]; ok {
		add("default %s", compact(value))
	}
	return out
}

// sizes are how small or large a value may be.
func sizes(schema map[string]any) (out []template.HTML) {
	for _, s := range []struct{ low, high, of string }{{"minimum", "maximum", ""}, {"minLength", "maxLength", " characters"}, {"minItems", "maxItems", " entries"}} {
		low, high := schema[s.low], schema[s.high]
		if n, ok := high.(int); ok && n == largest {
			high = nil
		}
		switch {
		case low != nil && high != nil:
			out = append(out, prose(fmt.Sprintf("%v to %v%s", low, high, s.of)))
		case high != nil:
			out = append(out, prose(fmt.Sprintf("at most %v%s", high, s.of)))
		case low != nil:
			out = append(out, prose(fmt.Sprintf("at least %v%s", low, s.of)))
		}
	}
	if schema["uniqueItems"] == true {
		out = append(out, "each once")
	}
	if schema["minProperties"] != nil {
		out = append(out, "at least one of its fields")
	}
	return out
}

func compact(value any) string {
	out, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(out)
}
