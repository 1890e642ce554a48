# Outpost. `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

# Pinned tools, built from source into build/tools; none is a dependency of the module.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GITLEAKS    := github.com/zricethezav/gitleaks/v8@v8.30.1
GOTESTSUM   := gotest.tools/gotestsum@v1.13.0

TOOLS := build/tools
# What runs many goroutines over shared state.
RACE := ./shared/... ./functions/scheduler ./functions/reaper ./functions/container-stopped ./functions/workflow/... \
	./functions/stripe/reconcile ./functions/worker/internal/forward ./functions/worker/internal/proxy ./functions/worker/internal/report ./functions/worker/internal/sandbox ./functions/worker/internal/output \
	./infra/local/asl ./infra/local/stepfunctions ./infra/local/ecs ./infra/local/lambdahost ./infra/local/gateway ./infra/local/recorder
GOFLAGS_BINARIES := -trimpath -buildvcs=false -tags lambda.norpc -ldflags='-s -w'
TESTSUM := $(TOOLS)/gotestsum --format pkgname-and-test-fails --jsonfile

# cdk runs the app of cdk.json for one environment. It is told no warnings about Node.
CDK_CLI := build/.cdk/node_modules/.bin/cdk
CDK := JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20 $(CDK_CLI) -c env=$(ENV)

.PHONY: operator stripe-keys preflight smoke synth diff bootstrap deploy images destroy named build-aws
.PHONY: help demo run test e2e race prove bench check generate cost fmt build tools require clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: require build ## One task, several real agents, verified patches: the whole of Outpost in half a minute (LIVE=1: your own provider keys)
	@build/demo

run: require build ## Serve Outpost on 127.0.0.1:8080 (OUTPOST_ADDR) until Ctrl-C; data in .outpost/
	@exec build/local

test: require build $(TOOLS)/gotestsum ## Every test that needs Go, Node with npm and git
	@$(TESTSUM) build/test.json -- -shuffle=on -count=1 -timeout 15m ./...
	@.ci/no-skips build/test.json

e2e: require build $(TOOLS)/gotestsum ## What needs more: python3 with venv (aider) and Java 17 (DynamoDB Local)
	@$(TESTSUM) build/e2e.json -- -tags e2e -run '^TestE2E' -count=1 -timeout 15m ./...
	@.ci/no-skips build/e2e.json

race: require build $(TOOLS)/gotestsum ## The concurrent packages once more under the race detector (needs a C compiler)
	@$(TESTSUM) build/race.json -- -race -shuffle=on -count=1 -timeout 15m $(RACE)

prove: require build ## Try to break every promise at full size, and rewrite docs/guarantees.md (ONLY="./shared/table …": those packages alone)
	@build/prove $(ONLY)

bench: require build ## Measure, and rewrite docs/benchmarks.md
	@build/bench

check: require $(TOOLS)/staticcheck $(TOOLS)/gitleaks ## Format, vet, lint, import rules, generated files, secret scan
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); [ -z "$$bad" ] || { echo "not formatted (make fmt): $$bad"; exit 1; }
	@go vet -tags e2e ./...
	@go mod verify >/dev/null
	@go mod tidy -diff >/dev/null || { echo "go.mod or go.sum is not tidy (go mod tidy)"; exit 1; }
	@$(TOOLS)/staticcheck -tags e2e ./...
	@go test -count=1 ./shared/topology ./shared/contract
	@$(TOOLS)/gitleaks git --no-banner --redact --log-level error .
	@$(TOOLS)/gitleaks dir --no-banner --redact --log-level error .
	@echo "check: all good"

generate: require build ## Rewrite what is generated: what functions were seen to call, what a run uses, the page of guarantees
	@UPDATE=1 go test -count=1 ./infra/local/stack -run '^(TestEveryPermissionIsUsed|TestAWholeTaskWithSecretsInSecretsManager|TestARunUsesNoMoreThanItDid)$$'
	@go run ./infra/aws/cost >/dev/null
	@build/prove -page

cost: ## What a month on AWS costs, from measured units and list prices; rewrites docs/cost.md
	@go run ./infra/aws/cost

fmt: ## Format every Go file
	@gofmt -w $$(git ls-files -co --exclude-standard '*.go')

build: ## Build functions, worker, client and the local target into build/
	@mkdir -p build/functions
	@CGO_ENABLED=0 go build $(GOFLAGS_BINARIES) -o build/functions/ ./functions/...
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -o build/ ./cmd/... ./infra/local/...

build-aws: ## Build what the CDK app deploys into build/aws: a folder a function, and what the workers' images are made of
	@rm -rf build/aws && mkdir -p build/aws/bin build/aws/functions build/aws/worker/agents build/aws/worker/image
	@GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build $(GOFLAGS_BINARIES) -o build/aws/bin/ ./functions/...
	@for f in build/aws/bin/*; do n=$$(basename $$f); [ $$n = worker ] || { mkdir build/aws/functions/$$n; mv $$f build/aws/functions/$$n/bootstrap; }; done
	@rm -rf build/aws/bin
	@GOOS=linux GOARCH=amd64 CGO_ENABLED=0 go build $(GOFLAGS_BINARIES) -o build/aws/worker/worker ./functions/worker
	@cp functions/worker/Dockerfile build/aws/worker/; cp functions/worker/image/*.sh build/aws/worker/image/
	@cp infra/local/agents/lock/package.json infra/local/agents/lock/package-lock.json infra/local/agents/requirements.txt build/aws/worker/agents/
	@cd build/aws/worker && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16 > ../worker.tag

synth: named build-aws $(CDK_CLI) ## Make the CloudFormation templates of ENV (dev, staging or prod) into cdk.out; needs no account
	@$(CDK) synth --quiet

diff: named build-aws $(CDK_CLI) ## Show what a deployment of ENV would change
	@$(CDK) diff --all

bootstrap: named build-aws $(CDK_CLI) ## Prepare the account and region of ENV for the CDK, once
	@$(CDK) bootstrap

deploy: named build-aws $(CDK_CLI) ## Deploy ENV, or its STACKS, to the AWS account of your credentials (docs/deploy.md)
	@$(CDK) deploy $(or $(STACKS),--all)

images: named build-aws ## Build the workers' images with docker and push them to ENV's repositories
	@infra/aws/images.sh $(ENV) build/aws

destroy: named build-aws $(CDK_CLI) ## Delete ENV's stacks; the data stack goes with it in dev alone
	@$(CDK) destroy $(foreach s,monitoring dispatch api worker,outpost-$(ENV)-$(s))
	@if [ "$(ENV)" = dev ]; then $(CDK) destroy outpost-dev-data; else echo "The data of $(ENV) stays: its table, bucket, key and secret are protected (docs/deploy.md, tear-down)."; fi

preflight: named ## Ask your AWS account whether its quotas are enough for ENV, and say what to ask for
	@go run ./infra/aws/preflight -env $(ENV)

operator: named ## Make a new operator's key for ENV and print it, this once
	@go run ./infra/aws/appoint -env $(ENV)

stripe-keys: named ## Put STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET into the platform secret of ENV
	@go run ./infra/aws/stripekeys -env $(ENV)

smoke: ## Run one whole task against the Outpost at URL, as the tenant of OUTPOST_API_KEY (ARGS="-repo … -agent …")
	@go run ./infra/smoke $(if $(URL),-url $(URL)) $(ARGS)

named:
	@case "$(ENV)" in dev|staging|prod) ;; *) echo "Say which environment: ENV=dev, ENV=staging or ENV=prod."; exit 1;; esac

# In a folder with a dot: the templates that come with it are Go files too.
$(CDK_CLI): package.json package-lock.json
	@mkdir -p build/.cdk && cp package.json package-lock.json build/.cdk/
	@cd build/.cdk && npm ci --no-audit --no-fund --ignore-scripts --silent
	@touch $@

tools: $(TOOLS)/staticcheck $(TOOLS)/gitleaks $(TOOLS)/gotestsum ## Build the pinned tools

$(TOOLS)/staticcheck: ; @GOBIN=$(abspath $(TOOLS)) go install $(STATICCHECK)
$(TOOLS)/gitleaks:    ; @GOBIN=$(abspath $(TOOLS)) go install $(GITLEAKS)
$(TOOLS)/gotestsum:   ; @GOBIN=$(abspath $(TOOLS)) go install $(GOTESTSUM)

require:
	@.ci/require

clean: ## Remove what was built and the local data (the agents' cache stays)
	@rm -rf build .outpost cdk.out
