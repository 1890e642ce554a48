package main

import (
	"context"
	_ "embed"
	"maps"
	"net/http"

	"outpost/shared/api"
)

//go:embed page.html
var page []byte

type desk interface {
	Return(ctx context.Context, session, way string) (url string)
}

type handler struct{ desk desk }

// header keeps the way back from those who come next, and from the page's own
// text anything but text.
var header = map[string]string{"Referrer-Policy": "no-referrer", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}

// handle leads on whoever comes with a way back that was signed here, and shows
// the same page to everybody else: it tells nothing about sessions or tenants.
func (h handler) handle(ctx context.Context, r *api.Request) (api.Response, error) {
	res := api.Response{Status: http.StatusOK, Body: page, Header: maps.Clone(header)}
	res.Header["Content-Type"] = "text/html; charset=utf-8"
	if r.Query["session_id"] == "" || r.Query["way"] == "" {
		return res, nil
	}
	if url := h.desk.Return(ctx, r.Query["session_id"], r.Query["way"]); url != "" {
		res = api.Response{Status: http.StatusSeeOther, Header: maps.Clone(header)}
		res.Header["Location"] = url
	}
	return res, nil
}
