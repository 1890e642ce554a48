package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"outpost/shared/api"
	"outpost/shared/contract"
	"outpost/shared/problem"
	"outpost/shared/task"
	"outpost/shared/topology"
)

//go:embed page.html.tmpl
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

type handler struct{}

// contract serves the contract as it is.
func (handler) contract(context.Context, *api.Request) (api.Response, error) {
	return api.Response{Status: http.StatusOK, Body: contract.YAML, Header: map[string]string{"Content-Type": "application/yaml; charset=utf-8", "Cache-Control": "max-age=300"}}, nil
}

// page renders the contract for people; it loads nothing from elsewhere.
func (handler) page(context.Context, *api.Request) (api.Response, error) {
	view, err := newView()
	if err != nil {
		return api.Response{}, err
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, view); err != nil {
		return api.Response{}, err
	}
	return api.Response{Status: http.StatusOK, Body: b.Bytes(), Header: map[string]string{"Content-Type": "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "max-age=300"}}, nil
}

type view struct {
	Title, Description string
	Operations         []operation
	Problems           []problem.Info
	Reasons            []task.ReasonInfo
}

type operation struct {
	Method, Path, Summary, Description, Scope string
	Parameters                                []parameter
	Example                                   string
}

type parameter struct{ Name, In, Description string }

// newView reads what the page shows out of the contract; workers' routes are
// not for tenants.
func newView() (view, error) {
	doc, err := contract.Document()
	if err != nil {
		return view{}, err
	}
	info, _ := doc["info"].(map[string]any)
	v := view{Title: text(info, "title"), Description: text(info, "description"), Problems: problem.Codes(), Reasons: task.Reasons()}
	paths, _ := doc["paths"].(map[string]any)
	for _, r := range topology.Routes {
		if r.Authorizer == topology.ByRunner {
			continue
		}
		item, _ := paths[r.Path].(map[string]any)
		raw, _ := item[strings.ToLower(r.Method)].(map[string]any)
		op := operation{Method: r.Method, Path: r.Path, Summary: text(raw, "summary"), Description: text(raw, "description"), Scope: r.Scope}
		loaded, err := contract.Load(r.Method, r.Path)
		if err != nil {
			return view{}, err
		}
		for _, p := range loaded.Parameters {
			op.Parameters = append(op.Parameters, parameter{p.Name, p.In, p.Description})
		}
		if body, ok := raw["requestBody"].(map[string]any); ok {
			if op.Example, err = example(body); err != nil {
				return view{}, err
			}
		}
		v.Operations = append(v.Operations, op)
	}
	return v, nil
}

// example returns the longest example of a body, which shows every field.
func example(body map[string]any) (string, error) {
	content, _ := body["content"].(map[string]any)
	media, _ := content["application/json"].(map[string]any)
	examples, _ := media["examples"].(map[string]any)
	var all []string
	for _, e := range examples {
		named, _ := e.(map[string]any)
		out, err := json.MarshalIndent(named["value"], "", "  ")
		if err != nil {
			return "", err
		}
		all = append(all, string(out))
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	if len(all) == 0 {
		return "", nil
	}
	return all[0], nil
}

func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return strings.TrimSpace(s)
}
