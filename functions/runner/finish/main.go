// Finish stores a run's result and answers the state machine.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"outpost/shared/api"
	"outpost/shared/boot"
	"outpost/shared/clock"
	"outpost/shared/config"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/workflow"
)

func main() {
	boot.Main(func(_ context.Context, env *config.Reader, cfg aws.Config) (any, error) {
		h := handler{
			store:    table.New(dynamodb.NewFromConfig(cfg), env.String(topology.EnvTable), clock.System),
			workflow: workflow.NewClient(sfn.NewFromConfig(cfg), env.String(topology.EnvWorkflow)),
		}
		return api.Serve(nil, api.Route{Method: "POST", Path: "/runner/v1/finish", Handler: h.handle})
	})
}
