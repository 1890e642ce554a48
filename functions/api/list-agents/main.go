// List-agents lists the agents that the tenant's plan includes.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/config"
)

func main() {
	boot.Main(func(_ context.Context, _ *config.Reader, _ aws.Config) (any, error) {
		h := handler{}
		return api.Serve(api.Route{Method: "GET", Path: "/v1/agents", Handler: h.handle})
	})
}
