package main

import (
	"encoding/json"
	"html/template"
	"slices"
	"strings"

	"outpost/shared/contract"
	"outpost/shared/problem"
	"outpost/shared/task"
	"outpost/shared/topology"
)

type view struct {
	Title       string
	Description []template.HTML // paragraphs
	Operations  []operation
	Problems    []problem.Info
	Reasons     []task.ReasonInfo
	Style       template.CSS
	Script      template.JS
}

type operation struct {
	ID, Method, Path, Summary string
	Description               template.HTML
	Parameters                []parameter
	Body                      bool
	Example, Answer           string // of the body, and of the answer
}

type parameter struct {
	Name, In    string
	Description template.HTML
}

// newView reads what the page shows out of the contract; workers' routes are
// not for tenants.
func newView() (view, error) {
	doc, err := contract.Document()
	if err != nil {
		return view{}, err
	}
	info, _ := doc["info"].(map[string]any)
	v := view{Title: text(info, "title"), Problems: problem.Codes(), Reasons: task.Reasons(), Style: template.CSS(style), Script: template.JS(script)}
	for paragraph := range strings.SplitSeq(text(info, "description"), "\n\n") {
		v.Description = append(v.Description, prose(paragraph))
	}
	paths, _ := doc["paths"].(map[string]any)
	for _, r := range topology.Routes {
		if r.Authorizer == topology.ByRunner {
			continue
		}
		item, _ := paths[r.Path].(map[string]any)
		raw, _ := item[strings.ToLower(r.Method)].(map[string]any)
		op, err := newOperation(r, raw)
		if err != nil {
			return view{}, err
		}
		v.Operations = append(v.Operations, op)
	}
	return v, nil
}

func newOperation(r topology.Route, raw map[string]any) (operation, error) {
	loaded, err := contract.Load(r.Method, r.Path)
	if err != nil {
		return operation{}, err
	}
	op := operation{ID: loaded.ID, Method: r.Method, Path: r.Path, Summary: text(raw, "summary"), Description: prose(text(raw, "description"))}
	for _, p := range loaded.Parameters {
		op.Parameters = append(op.Parameters, parameter{p.Name, p.In, prose(p.Description)})
	}
	if body, ok := raw["requestBody"].(map[string]any); ok {
		if op.Example, err = example(body); err != nil {
			return op, err
		}
		op.Body = op.Example != ""
	}
	answers, _ := raw["responses"].(map[string]any)
	for _, status := range []string{"200", "201", "202"} {
		if answer, ok := answers[status].(map[string]any); ok {
			if op.Answer, err = example(answer); err != nil {
				return op, err
			}
		}
	}
	return op, nil
}

// example returns the longest example of a body, which shows the most fields.
func example(body map[string]any) (string, error) {
	content, _ := body["content"].(map[string]any)
	media, _ := content["application/json"].(map[string]any)
	examples, _ := media["examples"].(map[string]any)
	longest := ""
	for _, e := range examples {
		named, _ := e.(map[string]any)
		if named["value"] == nil {
			continue
		}
		out, err := json.MarshalIndent(named["value"], "", "  ")
		if err != nil {
			return "", err
		}
		longest = slices.MaxFunc([]string{longest, string(out)}, func(a, b string) int { return len(a) - len(b) })
	}
	return longest, nil
}

// prose is a text of the contract with its code between backticks.
func prose(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		if part = template.HTMLEscapeString(part); i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String())
}

func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return strings.TrimSpace(s)
}
