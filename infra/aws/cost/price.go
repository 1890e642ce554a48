package main

// Where the prices are from, and the day on which they were looked up.
const (
	region   = "us-east-1"
	lookedUp = "2026-11-23"
)

// item names what is billed.
type item string

// The items.
const (
	lambdaRequests item = "lambda requests"
	lambdaTime     item = "lambda time"
	httpRequests   item = "http requests"
	readUnitsOf    item = "read units"
	writeUnitsOf   item = "write units"
	tableStorage   item = "table storage"
	tableRecovery  item = "table recovery"
	queueRequests  item = "queue requests"
	transitions    item = "transitions"
	objectWrites   item = "object writes"
	objectReads    item = "object reads"
	objectStorage  item = "object storage"
	keys           item = "keys"
	keyRequests    item = "key requests"
	secrets        item = "secrets"
	secretReads    item = "secret reads"
	vcpuHours      item = "vCPU hours"
	memoryHours    item = "memory hours"
	spotVCPUHours  item = "Spot vCPU hours"
	spotMemory     item = "Spot memory hours"
	diskHours      item = "disk hours"
	addressHours   item = "address hours"
	imageStorage   item = "image storage"
	logIngestion   item = "log ingestion"
	logStorage     item = "log storage"
	customMetrics  item = "custom metrics"
	alarmMetrics   item = "alarm metrics"
	dashboards     item = "dashboards"
	traffic        item = "traffic"
	freeOfCharge   item = "free of charge"
)

// billing says as what the calls of a service are billed. DynamoDB bills units,
// Step Functions transitions; their calls themselves are free.
var billing = map[string]item{
	"dynamodb": freeOfCharge, "ecs": freeOfCharge, "states": freeOfCharge,
	"sqs": queueRequests, "s3": objectWrites, "kms": keyRequests, "secretsmanager": secretReads,
}

// source is where a price was read. Amazon's price pages fill their tables by
// script, so most prices are read where somebody quotes them.
type source struct{ where, asOf string }

// The sources.
var (
	wringLambda  = source{"wring.co/blog/aws-lambda-pricing-guide", "2026-03"}
	goCloudAPI   = source{"go-cloud.io/aws-api-gateway-pricing", "2026"}
	airbyteTable = source{"airbyte.com/data-engineering-resources/dynamodb-pricing", "2025-07, older"}
	wringTable   = source{"wring.co/blog/aws-dynamodb-pricing-guide", "2026-03"}
	finopsTable  = source{"finops.com.py/services/dynamodb/backups", "undated"}
	cloudburnSQS = source{"cloudburn.io/blog/amazon-sqs-pricing", "2026-03"}
	wringStates  = source{"wring.co/blog/aws-step-functions-pricing-guide, and Amazon's own page", "2026-03"}
	devnotesS3   = source{"devnotes.tech, understanding-aws-s3-pricing", "undated"}
	cloudburnKMS = source{"cloudburn.io/blog/aws-kms-pricing, aws.amazon.com/kms/pricing", "2026-03"}
	wringKMS     = source{"wring.co/blog/aws-kms-pricing-guide; free: aws.amazon.com/kms/pricing", "undated"}
	hivebook     = source{"hivebook.wiki, aws-secrets-manager", "undated"}
	fortem       = source{"fortem.dev/fargate-spot, wring.co/blog/aws-fargate-pricing-guide", "2026-06"}
	vantage      = source{"vantage.sh/blog/fargate-pricing", "undated"}
	doitAddress  = source{"doit.com/aws-public-ipv4-price-increase-the-complete-guide", "2024, older"}
	cloudburnECR = source{"cloudburn.io/blog/amazon-ecr-pricing", "2026-03"}
	cloudWatch   = source{"factualminds.com, amazon-cloudwatch-pricing; free: aws.amazon.com/cloudwatch/pricing", "2026-06"}
	signoz       = source{"signoz.io/guides/cloudwatch-pricing; free: aws.amazon.com/cloudwatch/pricing", "2026-02"}
	alarmGuide   = source{"c3x.dev, aws_cloudwatch_metric_alarm; free: aws.amazon.com/cloudwatch/pricing", "undated"}
	infracost    = source{"infracost.io/finops-policies, aws-cloudwatch-consider-using-a-retention-policy", "undated"}
	usageAI      = source{"usage.ai/blogs/aws/networking-cost/data-transfer-costs", "2026-06"}
	eventBridge  = source{"factualminds.com, amazon-eventbridge-pricing; that schedules are free: READMEs of public projects alone", "2026-06"}
)

// price is a row of the price list.
type price struct {
	item item
	what string
	unit string
	per  float64 // how many make a unit
	usd  float64 // a unit
	free float64 // units a month that every account has free for ever
	source
}

// prices lists them. Free amounts that end after twelve months (API Gateway, S3,
// ECR) or are credits of new accounts are left out.
var prices = []price{
	{lambdaRequests, "Lambda: requests", "million", 1e6, 0.20, 1, wringLambda},
	{lambdaTime, "Lambda: arm64", "GB-second", 1, 0.0000133334, 400_000, wringLambda},
	{httpRequests, "API Gateway: HTTP API", "million requests", 1e6, 1.00, 0, goCloudAPI},
	{readUnitsOf, "DynamoDB on demand: reads", "million units", 1e6, 0.125, 0, airbyteTable},
	{writeUnitsOf, "DynamoDB on demand: writes", "million units", 1e6, 0.625, 0, airbyteTable},
	{tableStorage, "DynamoDB: storage", "GB-month", 1, 0.25, 25, wringTable},
	{tableRecovery, "DynamoDB: point-in-time recovery", "GB-month", 1, 0.20, 0, finopsTable},
	{queueRequests, "SQS FIFO", "million requests", 1e6, 0.50, 1, cloudburnSQS},
	{transitions, "Step Functions Standard", "1,000 transitions", 1e3, 0.025, 4, wringStates},
	{objectWrites, "S3: writes", "1,000 requests", 1e3, 0.005, 0, devnotesS3},
	{objectReads, "S3: reads", "1,000 requests", 1e3, 0.0004, 0, devnotesS3},
	{objectStorage, "S3: storage", "GB-month", 1, 0.023, 0, devnotesS3},
	{keys, "KMS: a key, and each of its first two rotations", "month", 1, 1.00, 0, cloudburnKMS},
	{keyRequests, "KMS: requests", "10,000", 1e4, 0.03, 2, wringKMS},
	{secrets, "Secrets Manager: a secret", "month", 1, 0.40, 0, hivebook},
	{secretReads, "Secrets Manager: requests", "10,000", 1e4, 0.05, 0, hivebook},
	{vcpuHours, "Fargate Linux x86-64: CPU", "vCPU-hour", 1, 0.04048, 0, fortem},
	{memoryHours, "Fargate Linux x86-64: memory", "GB-hour", 1, 0.004445, 0, fortem},
	{spotVCPUHours, "Fargate Spot: CPU, 60 % off", "vCPU-hour", 1, 0.4 * 0.04048, 0, fortem},
	{spotMemory, "Fargate Spot: memory, 60 % off", "GB-hour", 1, 0.4 * 0.004445, 0, fortem},
	{diskHours, "Fargate: disk above 20 GB", "GB-hour", 1, 0.000111, 0, vantage},
	{addressHours, "public IPv4 address", "hour", 1, 0.005, 0, doitAddress},
	{imageStorage, "ECR: storage", "GB-month", 1, 0.10, 0, cloudburnECR},
	{logIngestion, "CloudWatch Logs: ingestion", "GB", 1, 0.50, 5, cloudWatch},
	{logStorage, "CloudWatch Logs: storage", "GB-month", 1, 0.03, 0, infracost},
	{customMetrics, "CloudWatch: a custom metric", "month", 1, 0.30, 10, signoz},
	{alarmMetrics, "CloudWatch: a metric that an alarm watches", "month", 1, 0.10, 10, alarmGuide},
	{dashboards, "CloudWatch: a dashboard", "month", 1, 3.00, 3, cloudWatch},
	{traffic, "data transfer out", "GB", 1, 0.09, 100, usageAI},
	{freeOfCharge, "EventBridge's schedules and AWS's own events; calls of ECS; S3's gateway endpoint", "call", 1, 0, 0, eventBridge},
}

// cost is what an amount comes to, with and without what is free.
func (p price) cost(amount float64) (list, paid float64) {
	n := amount / p.per
	return n * p.usd, max(0, n-p.free) * p.usd
}

// amounts are what is used, in single requests, seconds and GB.
type amounts map[item]float64

// bill adds up in the order of the price list, so that it always comes to the
// same cent.
func bill(a amounts) (list, paid float64) {
	for _, p := range prices {
		l, n := p.cost(a[p.item])
		list, paid = list+l, paid+n
	}
	return list, paid
}

// times returns n times the amounts.
func (a amounts) times(n float64) amounts {
	out := amounts{}
	for i, v := range a {
		out[i] = v * n
	}
	return out
}

// plus returns the sum of both.
func (a amounts) plus(b amounts) amounts {
	out := a.times(1)
	for i, v := range b {
		out[i] += v
	}
	return out
}
