// Command aws is the CDK app: it turns shared/topology into CloudFormation, a
// set of stacks for each environment. It reads cdk.json's context and what make
// build-aws has built, and nothing else: no account, no credentials, no network.
//
//	make synth ENV=dev
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	defer jsii.Close()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "outpost:", err)
		jsii.Close()
		os.Exit(1)
	}
}

func run() error {
	app := awscdk.NewApp(nil)
	name, _ := app.Node().TryGetContext(jsii.String("env")).(string)
	environments, err := json.Marshal(app.Node().TryGetContext(jsii.String("environments")))
	if err != nil {
		return err
	}
	e, err := readEnvironment(name, environments)
	if err != nil {
		return err
	}
	a, err := readAssets("build/aws")
	if err != nil {
		return err
	}
	deploy(app, e, a)
	app.Synth(nil)
	return nil
}

// readAssets finds what make build-aws leaves in a folder.
func readAssets(dir string) (Assets, error) {
	tag, err := os.ReadFile(filepath.Join(dir, "worker.tag"))
	if err != nil || len(strings.TrimSpace(string(tag))) == 0 {
		return Assets{}, errors.New("the functions are not built: run make build-aws")
	}
	return Assets{Functions: filepath.Join(dir, "functions"), ImageTag: strings.TrimSpace(string(tag))}, nil
}
