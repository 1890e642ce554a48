package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssnssubscriptions"
	"github.com/aws/jsii-runtime-go"

	"outpost/shared/agent"
	"outpost/shared/artifact"
	"outpost/shared/topology"
)

// dataStack holds what must outlive every deployment.
type dataStack struct {
	table    awsdynamodb.Table
	bucket   awss3.Bucket
	key      awskms.Key
	platform awssecretsmanager.Secret
	images   map[string]awsecr.Repository // by agent
	alerts   awssns.Topic                 // who is subscribed outlives deployments too
}

func newData(stack awscdk.Stack, d *deployment) *dataStack {
	s := &dataStack{images: map[string]awsecr.Repository{}}
	spec := topology.SingleTable
	attribute := func(name string) *awsdynamodb.Attribute {
		return &awsdynamodb.Attribute{Name: jsii.String(name), Type: awsdynamodb.AttributeType_STRING}
	}
	s.table = awsdynamodb.NewTable(stack, jsii.String("Table"), &awsdynamodb.TableProps{
		PartitionKey: attribute(spec.PartitionKey), SortKey: attribute(spec.SortKey), TimeToLiveAttribute: jsii.String(spec.TTL),
		BillingMode:                      awsdynamodb.BillingMode_PAY_PER_REQUEST,
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: jsii.Bool(true)},
		DeletionProtection:               jsii.Bool(d.KeepData), RemovalPolicy: d.removal(),
	})
	for _, i := range spec.Indexes {
		projection := awsdynamodb.ProjectionType_ALL
		if i.KeysOnly {
			projection = awsdynamodb.ProjectionType_KEYS_ONLY
		}
		s.table.AddGlobalSecondaryIndex(&awsdynamodb.GlobalSecondaryIndexProps{IndexName: jsii.String(i.Name),
			PartitionKey: attribute(i.PartitionKey), SortKey: attribute(i.SortKey), ProjectionType: projection})
	}
	// The one key of ours: tenants' secrets are sealed under it, the tenant being
	// part of the context. All else is encrypted with keys that AWS owns.
	s.key = awskms.NewKey(stack, jsii.String("SecretsKey"), &awskms.KeyProps{
		Description: jsii.String("Seals the secrets of " + d.prefix() + "'s tenants"), EnableKeyRotation: jsii.Bool(true), RemovalPolicy: d.removal()})
	s.bucket = newBucket(stack, d)
	// The pepper is made here and nowhere else: 44 letters and digits are the
	// base64 of 33 bytes.
	s.platform = awssecretsmanager.NewSecret(stack, jsii.String("PlatformSecret"), &awssecretsmanager.SecretProps{
		SecretName: jsii.String(d.prefix() + "/platform"), Description: jsii.String("Outpost's own secrets, read by functions at their start"),
		GenerateSecretString: &awssecretsmanager.SecretStringGenerator{SecretStringTemplate: jsii.String(`{"pepper_version":"v1"}`),
			GenerateStringKey: jsii.String("pepper"), PasswordLength: jsii.Number(44), ExcludePunctuation: jsii.Bool(true)},
		RemovalPolicy: d.removal()})
	for _, name := range agent.Names() {
		s.images[name] = awsecr.NewRepository(stack, jsii.String("Images-"+name), &awsecr.RepositoryProps{
			RepositoryName: jsii.String(d.prefix() + "-worker-" + name), ImageScanOnPush: jsii.Bool(true), ImageTagMutability: awsecr.TagMutability_IMMUTABLE,
			RemovalPolicy: awscdk.RemovalPolicy_DESTROY, EmptyOnDelete: jsii.Bool(!d.KeepData),
			LifecycleRules: &[]*awsecr.LifecycleRule{{Description: jsii.String("Today's image and the one to go back to"), MaxImageCount: jsii.Number(2)}}})
	}
	s.alerts = awssns.NewTopic(stack, jsii.String("Alerts"), &awssns.TopicProps{EnforceSSL: jsii.Bool(true), DisplayName: jsii.String("Outpost " + d.Name)})
	if d.AlarmEmail != "" {
		s.alerts.AddSubscription(awssnssubscriptions.NewEmailSubscription(jsii.String(d.AlarmEmail), nil))
	}
	return s
}

func newBucket(stack awscdk.Stack, d *deployment) awss3.Bucket {
	rules := []*awss3.LifecycleRule{{Id: jsii.String("unfinished"), AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(1))}}
	for _, k := range artifact.Kinds {
		rules = append(rules, &awss3.LifecycleRule{Id: jsii.String(k.Prefix), Prefix: jsii.String(k.Prefix + "/"),
			Expiration: awscdk.Duration_Days(jsii.Number(k.Days))})
	}
	return awss3.NewBucket(stack, jsii.String("Artifacts"), &awss3.BucketProps{
		Encryption: awss3.BucketEncryption_S3_MANAGED, EnforceSSL: jsii.Bool(true), MinimumTLSVersion: jsii.Number(1.2),
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(), ObjectOwnership: awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		RemovalPolicy: d.removal(), LifecycleRules: &rules,
	})
}
