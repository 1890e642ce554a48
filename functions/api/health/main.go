// Health says that the API answers.
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
		return api.Serve(nil, api.Route{Method: "GET", Path: "/health", Handler: h.handle})
	})
}
