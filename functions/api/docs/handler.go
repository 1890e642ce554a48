package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"

	"outpost/shared/api"
	"outpost/shared/contract"
)

var (
	//go:embed page.html.tmpl
	source string
	//go:embed page.css
	style string
	//go:embed page.js
	script string
)

var pageTemplate = template.Must(template.New("page").Parse(source))

// policy lets the page run its own script and style, known by their hashes, and
// talk to this API: nothing that finds its way into the page is carried out.
var policy = "default-src 'none'; style-src " + hash(style) + "; script-src " + hash(script) +
	"; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

type handler struct{}

// contract serves the contract as it is.
func (handler) contract(context.Context, *api.Request) (api.Response, error) {
	return api.Response{Status: http.StatusOK, Body: contract.YAML, Header: map[string]string{"Content-Type": "application/yaml; charset=utf-8", "Cache-Control": "max-age=300"}}, nil
}

// page renders the contract for people, who can try its calls; it loads nothing
// from elsewhere, and keeps a key that is typed in the page alone.
func (handler) page(context.Context, *api.Request) (api.Response, error) {
	v, err := newView()
	if err != nil {
		return api.Response{}, err
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		return api.Response{}, err
	}
	return api.Response{Status: http.StatusOK, Body: b.Bytes(), Header: map[string]string{"Content-Type": "text/html; charset=utf-8",
		"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "Cache-Control": "max-age=300"}}, nil
}
