package main

// price is a row of AWS's list prices.
type price struct {
	what string
	unit string
	usd  float64
	free float64 // units a month that every account has free, for ever; 0 where there are none
	from string  // where it was read
}

// Where and as of when the prices are. Amazon's own pages cannot be read by a
// program without its JavaScript, so most were read where somebody quotes them.
const (
	region = "us-east-1"
	asOf   = "2026-11-23"
)

// Sources.
const (
	fromLambda   = "cloudchipr.com/blog/aws-lambda-pricing, 2024; git.mcrn.ar, lambda-13-cost.md"
	fromFargate  = "cloudburn.io/blog/aws-fargate-pricing, March 2026; wring.co, March 2026"
	fromDynamoDB = "airbyte.com/data-engineering-resources/dynamodb-pricing, July 2025, after the cut of November 2024"
	fromHandbook = "the handbook's measured facts (security.md, cdk.md)"
	fromMemory   = "Amazon's public price list as known to the authors; not looked up again"
)

// The prices. A name that a unit uses and this table lacks fails the tests.
var prices = map[string]price{
	"lambda requests": {"Lambda, requests", "1", 0.20e-6, 1e6, fromLambda},
	"lambda GB-s":     {"Lambda, arm64", "GB-second", 0.0000133334, 400_000, fromLambda},
	"http requests":   {"API Gateway, HTTP API", "request", 1.00e-6, 0, fromMemory},
	"read units":      {"DynamoDB on demand, reads", "request unit", 0.125e-6, 0, fromDynamoDB},
	"write units":     {"DynamoDB on demand, writes", "request unit", 0.625e-6, 0, fromDynamoDB},
	"table GB":        {"DynamoDB, storage", "GB-month", 0.25, 25, fromMemory},
	"recovery GB":     {"DynamoDB, point-in-time recovery", "GB-month", 0.20, 0, fromMemory},
	"sqs":             {"SQS FIFO", "request", 0.50e-6, 1e6, fromMemory},
	"transitions":     {"Step Functions, Standard", "transition", 25e-6, 4000, fromMemory},
	"s3 writes":       {"S3, PUT", "request", 5e-6, 0, fromMemory},
	"s3 reads":        {"S3, GET", "request", 0.4e-6, 0, fromMemory},
	"s3 GB":           {"S3, storage", "GB-month", 0.023, 0, fromMemory},
	"kms keys":        {"KMS, a key", "month", 1.00, 0, fromHandbook},
	"kms":             {"KMS, requests", "request", 3e-6, 20_000, fromMemory},
	"secrets":         {"Secrets Manager, a secret", "month", 0.40, 0, fromHandbook},
	"secretsmanager":  {"Secrets Manager, requests", "request", 5e-6, 0, fromMemory},
	"vCPU hours":      {"Fargate, Linux x86-64", "vCPU-hour", 0.04048, 0, fromFargate},
	"memory hours":    {"Fargate, Linux x86-64", "GB-hour", 0.004445, 0, fromFargate},
	"address hours":   {"public IPv4 address", "hour", 0.005, 0, fromFargate},
	"image GB":        {"ECR, storage", "GB-month", 0.10, 0, fromMemory},
	"log GB":          {"CloudWatch Logs, ingestion", "GB", 0.50, 5, fromMemory},
	"log GB kept":     {"CloudWatch Logs, storage", "GB-month", 0.03, 0, fromMemory},
	"metrics":         {"CloudWatch, a custom metric", "month", 0.30, 10, fromMemory},
	"alarm metrics":   {"CloudWatch, a metric of an alarm", "month", 0.10, 10, fromMemory},
	"dashboards":      {"CloudWatch, a dashboard", "month", 3.00, 3, fromMemory},
	"traffic GB":      {"data transfer to the internet", "GB", 0.09, 100, fromMemory},
	"free of charge":  {"ECS calls; EventBridge's scheduled and AWS events; S3 gateway endpoint", "", 0, 0, fromMemory},
}

// spotDiscount is what Fargate Spot takes off vCPU and memory, about; it moves
// with demand.
const spotDiscount = 0.70
