package stack

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"outpost/infra/local/asl"
	"outpost/infra/local/ecs"
	"outpost/infra/local/engines"
	"outpost/infra/local/kms"
	"outpost/infra/local/lambdahost"
	"outpost/infra/local/recorder"
	objects "outpost/infra/local/s3"
	secrets "outpost/infra/local/secretsmanager"
	"outpost/infra/local/stepfunctions"
	"outpost/infra/local/triggers"
	"outpost/shared/agent"
	"outpost/shared/billing"
	"outpost/shared/platform"
	"outpost/shared/table"
	"outpost/shared/topology"
	"outpost/shared/workflow"
)

// The names of the local target's resources.
const (
	tableName      = "outpost"
	bucketName     = "outpost-artifacts"
	platformSecret = "outpost/platform"
	account        = engines.Region + ":000000000000"
	keyARN         = "arn:aws:kms:" + account + ":key/outpost"
	machineARN     = "arn:aws:states:" + account + ":stateMachine:outpost-run"
	taskFamily     = "outpost-worker"
	clusterARN     = "arn:aws:ecs:" + account + ":cluster/outpost"
)

// cloud is the AWS account of the stack.
type cloud struct {
	cfg    aws.Config
	queues map[string]string // URLs by name
}

func (c *cloud) sqs() *sqs.Client { return sqs.NewFromConfig(c.cfg) }

// startCloud starts engines and services behind the recorder, makes the
// resources, and starts the function host.
func (s *Stack) startCloud(run, ctx context.Context, o Options) (*cloud, error) {
	db, err := engines.DynamoDB(ctx, filepath.Join(o.Dir, "dynamodb.sqlite"), o.Progress)
	if err != nil {
		return nil, err
	}
	s.watch(run, db)
	queues, err := engines.SQS(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	s.watch(run, queues)
	store, err := objects.Start(ctx, filepath.Join(o.Dir, "s3"))
	if err != nil {
		return nil, err
	}
	s.watch(run, store)
	keys, err := kms.Open(keyARN, filepath.Join(o.Dir, "kms"))
	if err != nil {
		return nil, err
	}
	vault, err := secrets.Open(filepath.Join(o.Dir, "secretsmanager"))
	if err != nil {
		return nil, err
	}

	s.Recorder = recorder.New()
	s.Recorder.Allow = allowed(o.secretStore())
	for service, endpoint := range map[string]string{"dynamodb": db.Endpoint, "sqs": queues.Endpoint, "s3": store.Endpoint} {
		if err := s.Recorder.Forward(service, endpoint); err != nil {
			return nil, err
		}
	}
	s.Recorder.Handle("kms", keys.Handler())
	s.Recorder.Handle("secretsmanager", vault.Handler())
	endpoint, err := s.serve(s.Recorder)
	if err != nil {
		return nil, err
	}
	c := &cloud{queues: map[string]string{}, cfg: aws.Config{Region: engines.Region, BaseEndpoint: &endpoint, AppID: "local",
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKey, engines.SecretKey, "")}}
	if err := c.makeResources(ctx); err != nil {
		return nil, err
	}
	if err := s.startStripe(run, ctx, o, c); err != nil {
		return nil, err
	}

	s.Lambda = lambdahost.New(run, c.functions(o, s), s.logs)
	invoker := stateInvoker{s.Lambda}
	s.ECS, err = ecs.Open(run, ecs.Options{Cluster: clusterARN, Dir: filepath.Join(o.Dir, "ecs"), Families: families(o),
		StopTimeout: topology.Worker.StopTimeout, Clock: s.clock, Log: s.logf,
		Deliver: func(ctx context.Context, event []byte) error { return triggers.Deliver(ctx, event, s.Lambda) }})
	if err != nil {
		return nil, err
	}
	s.Recorder.Handle("ecs", s.ECS.Handler())
	definition := workflow.Definition
	for name, function := range workflow.Placeholders {
		definition = strings.ReplaceAll(definition, "${"+name+"}", function)
	}
	machine, err := asl.Load([]byte(definition))
	if err != nil {
		return nil, err
	}
	s.States, err = stepfunctions.Open(run, machineARN, machine, filepath.Join(o.Dir, "executions"), s.clock, invoker)
	if err != nil {
		return nil, err
	}
	s.Recorder.Handle("states", s.States.Handler())
	return c, nil
}

// serve serves a handler on a free port of the loopback interface.
func (s *Stack) serve(h http.Handler) (endpoint string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("no free port: %w", err)
	}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(l) }()
	s.stops = append(s.stops, func() { server.Close() })
	return "http://" + l.Addr().String(), nil
}

func (c *cloud) makeResources(ctx context.Context) error {
	if err := table.Create(ctx, dynamodb.NewFromConfig(c.cfg), tableName); err != nil {
		return err
	}
	bucket := bucketName
	var owned *s3types.BucketAlreadyOwnedByYou
	var exists *s3types.BucketAlreadyExists
	_, err := s3.NewFromConfig(c.cfg, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket})
	if err != nil && !errors.As(err, &owned) && !errors.As(err, &exists) {
		return fmt.Errorf("make the bucket: %w", err)
	}
	for _, q := range topology.Queues {
		if err := c.makeQueue(ctx, q); err != nil {
			return fmt.Errorf("make the queue %s: %w", q.Name, err)
		}
	}
	pepper := make([]byte, 32)
	_, _ = rand.Read(pepper) // never fails
	doc, err := json.Marshal(platform.Document{PepperVersion: "v1", Pepper: pepper})
	if err != nil {
		return err
	}
	name, value := platformSecret, string(doc)
	var already *secretstypes.ResourceExistsException
	_, err = secretsmanager.NewFromConfig(c.cfg).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil && !errors.As(err, &already) {
		return fmt.Errorf("make the platform secret: %w", err)
	}
	return nil
}

// makeQueue makes a queue and its dead-letter queue.
func (c *cloud) makeQueue(ctx context.Context, q topology.QueueSpec) error {
	suffix, base := "", map[string]string{}
	if q.FIFO {
		suffix, base["FifoQueue"] = ".fifo", "true"
	}
	name := topology.DeadLetterName(q.Name) + suffix
	dead, err := c.sqs().CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: base})
	if err != nil {
		return err
	}
	c.queues[topology.DeadLetterName(q.Name)] = *dead.QueueUrl
	known, err := c.sqs().GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: dead.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn}})
	if err != nil {
		return err
	}
	redrive, err := json.Marshal(map[string]any{"deadLetterTargetArn": known.Attributes["QueueArn"], "maxReceiveCount": q.MaxReceives})
	if err != nil {
		return err
	}
	name = q.Name + suffix
	attributes := map[string]string{"VisibilityTimeout": fmt.Sprint(int(q.VisibilityTimeout.Seconds())), "RedrivePolicy": string(redrive)}
	maps.Copy(attributes, base)
	out, err := c.sqs().CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		return err
	}
	c.queues[q.Name] = *out.QueueUrl
	return nil
}

// functions gives each function the environment that the topology says, and no
// more.
func (c *cloud) functions(o Options, s *Stack) []lambdahost.Function {
	resources := map[string]string{
		topology.EnvTable: tableName, topology.EnvBucket: bucketName, topology.EnvKey: keyARN,
		topology.EnvPlatformSecret: secrets.ARN(platformSecret), topology.EnvTenantSecrets: recorder.TenantSecrets, topology.EnvWorkflow: machineARN,
		topology.EnvCluster: clusterARN, topology.EnvTaskFamily: taskFamily, topology.EnvSubnets: "subnet-local", topology.EnvSecurityGroups: "sg-local",
		"OUTPOST_API_URL": s.URL, "OUTPOST_STRIPE_API_BASE": s.Stripe.Base, "OUTPOST_STRIPE_PRICES": s.Stripe.Prices.String(), "OUTPOST_REPO_SCHEMES": "https,http,file",
		"OUTPOST_RETURN_URLS":       billing.Loopback,
		"OUTPOST_PRIVATE_ADDRESSES": "127.0.0.0/8,::1/128", // repositories of this machine
	}
	for name, url := range c.queues {
		resources[topology.EnvQueue(name)] = url
	}
	if o.ProviderURL != "" {
		var urls []string
		for _, p := range agent.Providers() {
			urls = append(urls, p.Name+"="+o.ProviderURL)
		}
		resources["OUTPOST_PROVIDER_URLS"] = strings.Join(urls, ",")
	}
	for name, value := range o.Settings {
		resources[name] = value
	}
	var out []lambdahost.Function
	for _, f := range topology.Functions {
		f = f.Of(o.secretStore())
		env := []string{"AWS_REGION=" + engines.Region, "AWS_ACCESS_KEY_ID=" + engines.AccessKey, "AWS_SECRET_ACCESS_KEY=" + engines.SecretKey,
			"AWS_ENDPOINT_URL=" + *c.cfg.BaseEndpoint, "AWS_SDK_UA_APP_ID=" + application(f), "AWS_LAMBDA_FUNCTION_NAME=" + path.Base(f.Name),
			"AWS_EC2_METADATA_DISABLED=true", fmt.Sprintf("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%d", f.MemoryMB)}
		for _, name := range f.Env() {
			if v, ok := resources[name]; ok {
				env = append(env, name+"="+v)
			}
		}
		out = append(out, lambdahost.Function{Name: f.Name, Path: filepath.Join(o.BinDir, "functions", path.Base(f.Name)), Env: env, Timeout: f.Timeout})
	}
	return out
}

// application is how a function names itself to AWS.
func application(f topology.Function) string { return strings.ReplaceAll(f.Name, "/", "-") }

// allowed tells whether a function may do something where tenants' secrets are in
// a store. Who is no function, as the
// pollers, may do everything.
func allowed(store topology.SecretStore) func(caller string, p topology.Permission) bool {
	return func(caller string, p topology.Permission) bool {
		for _, f := range topology.Functions {
			if application(f) == caller {
				return slices.Contains(f.Of(store).Permissions(), p)
			}
		}
		return true
	}
}

// families are the task definitions: the worker binary, an agent each.
func families(o Options) map[string]ecs.Definition {
	out := map[string]ecs.Definition{}
	for _, name := range agent.Names() {
		out[topology.TaskFamily(taskFamily, name)] = ecs.Definition{Path: filepath.Join(o.BinDir, "functions", "worker"),
			Env: []string{"PATH=" + os.Getenv("PATH"), topology.EnvAgents + "=" + o.Agents}}
	}
	return out
}

// stateInvoker gives the state machine Lambda's failures by the names that
// Retry and Catch match.
type stateInvoker struct{ host *lambdahost.Host }

func (i stateInvoker) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	out, err := i.host.Invoke(ctx, function, payload)
	var failed *lambdahost.Error
	if errors.As(err, &failed) {
		return nil, &asl.TaskError{Name: failed.Type, Cause: failed.Message}
	}
	return out, err
}
