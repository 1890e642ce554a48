package main

import (
	"context"

	"outpost/shared/api"
)

type handler struct{}

// handle says that gateway and functions work. It reads nothing: who asks is
// anybody.
func (handler) handle(context.Context, *api.Request) (api.Response, error) {
	return api.OK(map[string]string{"status": "ok"}), nil
}
