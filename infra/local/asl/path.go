package asl

import (
	"fmt"
	"slices"
	"strings"
)

// parsePath splits a reference path, as $.a.b, into its members. Indexes,
// wildcards and functions are not part of what runs here.
func parsePath(p string) ([]string, error) {
	rest, ok := strings.CutPrefix(p, "$")
	if !ok {
		return nil, fmt.Errorf("%q is no path", p)
	}
	if rest == "" {
		return nil, nil
	}
	members := strings.Split(strings.TrimPrefix(rest, "."), ".")
	if rest[0] != '.' || strings.ContainsAny(rest, "[]*()@?") {
		return nil, fmt.Errorf("path %q is not of the form $.a.b", p)
	}
	for _, m := range members {
		if m == "" {
			return nil, fmt.Errorf("path %q is not of the form $.a.b", p)
		}
	}
	return members, nil
}

// contextPaths are what Parameters may read of the context object.
var contextPaths = []string{"$$.Task.Token", "$$.Execution.Name", "$$.State.Name", "$$.State.RetryCount"}

// checkPaths parses every path of a payload template.
func checkPaths(template any, contextPaths []string) error {
	switch t := template.(type) {
	case map[string]any:
		for k, v := range t {
			if !strings.HasSuffix(k, ".$") {
				if err := checkPaths(v, contextPaths); err != nil {
					return err
				}
				continue
			}
			s, ok := v.(string)
			if !ok {
				return fmt.Errorf("%s is no path", k)
			}
			if slices.Contains(contextPaths, s) {
				continue
			}
			if _, err := parsePath(s); err != nil {
				return err
			}
		}
	case []any:
		for _, v := range t {
			if err := checkPaths(v, contextPaths); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookup returns what a path names in a document.
func lookup(doc any, path string) (any, error) {
	members, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		object, ok := doc.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("the path %s leads nowhere", path)
		}
		if doc, ok = object[m]; !ok {
			return nil, fmt.Errorf("the path %s leads nowhere", path)
		}
	}
	return doc, nil
}

// fill returns a payload template with its paths replaced: those that start
// with $$ look into the context object, others into the input.
func fill(template, input, context any) (any, error) {
	switch t := template.(type) {
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, v := range t {
			name, isPath := strings.CutSuffix(k, ".$")
			var err error
			if !isPath {
				out[k], err = fill(v, input, context)
			} else if path, inContext := strings.CutPrefix(v.(string), "$$"); inContext {
				out[name], err = lookup(context, "$"+path)
			} else {
				out[name], err = lookup(input, v.(string))
			}
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(t))
		for i, v := range t {
			var err error
			if out[i], err = fill(v, input, context); err != nil {
				return nil, err
			}
		}
		return out, nil
	default:
		return template, nil
	}
}

// place returns the input with a result put where ResultPath says: instead of
// it when the path is empty or "$", at a member otherwise.
func place(input any, resultPath string, result any) (any, error) {
	members, err := parsePath(orRoot(resultPath))
	if err != nil {
		return nil, err
	}
	return placeAt(input, members, result)
}

func placeAt(doc any, members []string, result any) (any, error) {
	if len(members) == 0 {
		return result, nil
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a result has no place in something that is no object")
	}
	out := make(map[string]any, len(object)+1)
	for k, v := range object {
		out[k] = v
	}
	inner := out[members[0]]
	if inner == nil {
		inner = map[string]any{}
	}
	placed, err := placeAt(inner, members[1:], result)
	if err != nil {
		return nil, err
	}
	out[members[0]] = placed
	return out, nil
}

func orRoot(path string) string {
	if path == "" {
		return "$"
	}
	return path
}
