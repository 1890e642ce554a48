// Docs serves the API's contract, to read and for programs.
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
		return api.Serve(nil, api.Route{Method: "GET", Path: "/docs", Handler: h.page}, api.Route{Method: "GET", Path: "/openapi.yaml", Handler: h.contract})
	})
}
