package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2authorizers"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2integrations"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"outpost/shared/topology"
)

// apiStack is the HTTP API with all that answers its routes.
type apiStack struct {
	api awsapigatewayv2.HttpApi
	url string
}

func newAPI(stack awscdk.Stack, d *deployment) *apiStack {
	s := &apiStack{api: awsapigatewayv2.NewHttpApi(stack, jsii.String("Api"), &awsapigatewayv2.HttpApiProps{
		ApiName: jsii.String(d.prefix()), CreateDefaultStage: jsii.Bool(false), DisableExecuteApiEndpoint: jsii.Bool(d.Domain != "")})}
	if s.url = "https://" + d.Domain; d.Domain == "" {
		s.url = *s.api.ApiEndpoint()
	}
	d.api = s // functions of the API lead back to its own address; the API itself names none of them
	functions := map[string]awslambda.Function{}
	function := func(name string) awslambda.Function {
		if functions[name] == nil {
			functions[name] = d.function(stack, name)
		}
		return functions[name]
	}
	authorizers := map[topology.Authorizer]awsapigatewayv2.IHttpRouteAuthorizer{}
	for _, r := range topology.Routes {
		if r.Authorizer == topology.Open || authorizers[r.Authorizer] != nil {
			continue
		}
		cache := 0.0
		if r.Authorizer == topology.ByAPIKey {
			cache = topology.CacheTime.Seconds()
		}
		authorizers[r.Authorizer] = s.authorizer(d, function(string(r.Authorizer)), strings.ReplaceAll(string(r.Authorizer), "/", "-"), cache)
	}
	stage := s.stage(stack, d)
	for _, r := range topology.Routes {
		f := function(r.Function)
		route := awsapigatewayv2.NewHttpRoute(stack, jsii.String("Route-"+r.Method+r.Path), &awsapigatewayv2.HttpRouteProps{
			HttpApi: s.api, RouteKey: awsapigatewayv2.HttpRouteKey_With(jsii.String(r.Path), awsapigatewayv2.HttpMethod(r.Method)),
			Integration: awsapigatewayv2integrations.NewHttpLambdaIntegration(jsii.String("Integration-"+r.Function), f, nil),
			Authorizer:  authorizers[r.Authorizer],
		})
		stage.Node().AddDependency(route) // the stage sets the route's throttle
	}
	awscdk.NewCfnOutput(stack, jsii.String("Url"), &awscdk.CfnOutputProps{Value: jsii.String(s.url), Description: jsii.String("Where tenants and workers reach the API")})
	return s
}

// authorizer decides with a function, whose answers are kept for so many
// seconds by the Authorization header.
func (s *apiStack) authorizer(d *deployment, f awslambda.Function, name string, cacheSeconds float64) awsapigatewayv2.IHttpRouteAuthorizer {
	return awsapigatewayv2authorizers.NewHttpLambdaAuthorizer(jsii.String(name), f, &awsapigatewayv2authorizers.HttpLambdaAuthorizerProps{
		AuthorizerName:  jsii.String(d.prefix() + "-" + name),
		ResponseTypes:   &[]awsapigatewayv2authorizers.HttpLambdaResponseType{awsapigatewayv2authorizers.HttpLambdaResponseType_SIMPLE},
		IdentitySource:  jsii.Strings("$request.header.Authorization"),
		ResultsCacheTtl: awscdk.Duration_Seconds(jsii.Number(cacheSeconds)),
	})
}

// accessLog is a line of the access log. It holds no header and no query, so no
// secret.
const accessLog = `{"time":"$context.requestTime","request":"$context.requestId","route":"$context.routeKey","status":"$context.status",` +
	`"ip":"$context.identity.sourceIp","tenant":"$context.authorizer.tenant","key":"$context.authorizer.key","ms":"$context.responseLatency",` +
	`"integration_ms":"$context.integrationLatency","bytes":"$context.responseLength","error":"$context.error.messageString","authorizer_error":"$context.authorizer.error"}`

// stage is where the API is served, with throttles and an access log. The lower
// construct: the higher one knows no throttle of a route.
func (s *apiStack) stage(stack awscdk.Stack, d *deployment) awsapigatewayv2.CfnStage {
	logs := awslogs.NewLogGroup(stack, jsii.String("AccessLog"), &awslogs.LogGroupProps{LogGroupName: jsii.String("/" + d.prefix() + "/access"),
		Retention: retention(d.LogRetentionDays), RemovalPolicy: awscdk.RemovalPolicy_DESTROY})
	perRoute := map[string]any{}
	for _, r := range topology.Routes {
		t := r.Throttle()
		perRoute[r.Method+" "+r.Path] = map[string]any{"ThrottlingRateLimit": t.Rate, "ThrottlingBurstLimit": t.Burst}
	}
	stage := awsapigatewayv2.NewCfnStage(stack, jsii.String("Stage"), &awsapigatewayv2.CfnStageProps{
		ApiId: s.api.ApiId(), StageName: jsii.String("$default"), AutoDeploy: jsii.Bool(true),
		AccessLogSettings: &awsapigatewayv2.CfnStage_AccessLogSettingsProperty{DestinationArn: logs.LogGroupArn(), Format: jsii.String(accessLog)},
		DefaultRouteSettings: &awsapigatewayv2.CfnStage_RouteSettingsProperty{DetailedMetricsEnabled: jsii.Bool(false),
			ThrottlingRateLimit: jsii.Number(100), ThrottlingBurstLimit: jsii.Number(200)},
		RouteSettings: perRoute,
	})
	if d.Domain == "" {
		return stage
	}
	certificate := awscertificatemanager.Certificate_FromCertificateArn(stack, jsii.String("Certificate"), jsii.String(d.Certificate))
	domain := awsapigatewayv2.NewDomainName(stack, jsii.String("Domain"), &awsapigatewayv2.DomainNameProps{
		DomainName: jsii.String(d.Domain), Certificate: certificate, SecurityPolicy: awsapigatewayv2.SecurityPolicy_TLS_1_2})
	mapping := awsapigatewayv2.NewCfnApiMapping(stack, jsii.String("Mapping"), &awsapigatewayv2.CfnApiMappingProps{
		ApiId: s.api.ApiId(), DomainName: domain.Name(), Stage: jsii.String("$default")})
	mapping.AddDependency(stage)
	awscdk.NewCfnOutput(stack, jsii.String("DomainTarget"), &awscdk.CfnOutputProps{Value: domain.RegionalDomainName(),
		Description: jsii.String("What the domain's CNAME or alias record must point to")})
	return stage
}
