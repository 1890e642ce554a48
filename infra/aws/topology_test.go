package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"outpost/shared/agent"
	"outpost/shared/topology"
)

// equal compares two sets of names and tells each difference by its name.
func equal(t *testing.T, what string, topology, template map[string]string) {
	t.Helper()
	for name, want := range topology {
		if got, ok := template[name]; !ok {
			t.Errorf("%s %s is in the topology and not in the template", what, name)
		} else if got != want {
			t.Errorf("%s %s is %s in the template and %s in the topology", what, name, got, want)
		}
	}
	for name := range template {
		if _, ok := topology[name]; !ok {
			t.Errorf("%s %s is in the template and not in the topology", what, name)
		}
	}
	if len(topology) == 0 {
		t.Errorf("no %s at all", what)
	}
}

// functions finds the Lambda functions by their names in the topology.
func (c cloud) functions(e Environment) map[string]resource {
	found := map[string]resource{}
	short := map[string]string{}
	for _, f := range topology.Functions {
		short[strings.ReplaceAll(f.Name, "/", "-")] = f.Name
	}
	for _, r := range c.all("AWS::Lambda::Function") {
		name := strings.TrimPrefix(r.get("FunctionName").(string), e.prefix()+"-")
		if full, ok := short[name]; ok {
			name = full
		}
		found[name] = r
	}
	return found
}

// named turns a reference to a function into its name.
func (c cloud) named(e Environment, text string) string {
	for name, r := range c.functions(e) {
		if strings.Contains(text, "${"+r.String()+".Arn}") || strings.Contains(text, "${"+r.String()+"}") {
			return name
		}
	}
	return "?"
}

func TestTheTemplateEqualsTheTopology(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			c, e := clouds[name], environment(name)
			functions := c.functions(e)
			want, got := map[string]string{}, map[string]string{}
			for _, f := range topology.Functions {
				f = f.Of(e.SecretStore)
				want[f.Name] = fmt.Sprintf("%v s, %d MB, %v", f.Timeout.Seconds(), f.MemoryMB, append([]string{"AWS_SDK_UA_APP_ID"}, given(e, f)...))
			}
			for name, r := range functions {
				env, _ := r.get("Environment", "Variables").(map[string]any)
				got[name] = fmt.Sprintf("%v s, %v MB, %v", r.get("Timeout"), r.get("MemorySize"), slices.Sorted(maps.Keys(env)))
			}
			equal(t, "function", want, got)

			want, got = map[string]string{}, map[string]string{}
			for _, r := range topology.Routes {
				want[r.Method+" "+r.Path] = r.Function + " behind " + string(r.Authorizer)
			}
			integrations := map[string]string{}
			for _, r := range c.all("AWS::ApiGatewayV2::Integration") {
				integrations["${"+r.String()+"}"] = c.named(e, c.text(r.stack, r.get("IntegrationUri")))
			}
			authorizers := map[string]string{"": ""}
			for _, r := range c.all("AWS::ApiGatewayV2::Authorizer") {
				authorizers["${"+r.String()+"}"] = c.named(e, c.text(r.stack, r.get("AuthorizerUri")))
			}
			for _, r := range c.all("AWS::ApiGatewayV2::Route") {
				authorizer := ""
				if id := r.get("AuthorizerId"); id != nil {
					authorizer = c.text(r.stack, id)
				}
				_, integration, _ := strings.Cut(c.text(r.stack, r.get("Target")), "/")
				got[r.get("RouteKey").(string)] = integrations[integration] + " behind " + authorizers[authorizer]
			}
			equal(t, "route", want, got)

			c.queuesEqual(t, e)
			c.rulesEqual(t, e)
			c.tableEquals(t)
			c.workersEqual(t, e)
		})
	}
}

// given are a function's variables that have a value: an optional one may not.
func given(e Environment, f topology.Function) []string {
	return slices.DeleteFunc(f.Env(), func(name string) bool {
		s, ok := topology.SettingByName(name)
		return ok && s.Optional && s.Default == ""
	})
}

func (c cloud) queuesEqual(t *testing.T, e Environment) {
	want, got := map[string]string{}, map[string]string{}
	for _, q := range topology.Queues {
		want[e.prefix()+"-"+q.Name] = fmt.Sprintf("fifo %v, visible after %v s, given up after %d, to %s in tens of %d",
			q.FIFO, q.VisibilityTimeout.Seconds(), q.MaxReceives, q.Consumer, q.BatchSize)
	}
	consumers, batches := map[string]string{}, map[string]any{}
	for _, m := range c.all("AWS::Lambda::EventSourceMapping") {
		source := c.text(m.stack, m.get("EventSourceArn"))
		consumers[source], batches[source] = c.named(e, c.text(m.stack, m.get("FunctionName"))), m.get("BatchSize")
		if !slices.Contains(list(m.get("FunctionResponseTypes")), any("ReportBatchItemFailures")) {
			t.Errorf("%s: one bad message of a batch would bring back all", m)
		}
	}
	for _, q := range c.all("AWS::SQS::Queue") {
		redrive := q.get("RedrivePolicy")
		name := strings.TrimSuffix(q.get("QueueName").(string), ".fifo")
		if redrive == nil {
			if !strings.HasSuffix(name, "-dead") {
				t.Errorf("%s has no dead-letter queue", q)
			}
			continue
		}
		fifo := q.get("FifoQueue") == true
		arn := "${" + q.String() + ".Arn}"
		got[name] = fmt.Sprintf("fifo %v, visible after %v s, given up after %v, to %s in tens of %v",
			fifo, q.get("VisibilityTimeout"), dig(redrive, "maxReceiveCount"), consumers[arn], batches[arn])
	}
	equal(t, "queue", want, got)
}

func (c cloud) rulesEqual(t *testing.T, e Environment) {
	want, got := map[string]string{}, map[string]string{}
	for _, s := range topology.Schedules {
		n, unit := int(s.Every.Minutes()), "minute"
		if s.Every%time.Hour == 0 {
			n, unit = int(s.Every.Hours()), "hour"
		}
		if n > 1 {
			unit += "s"
		}
		want[s.Name] = fmt.Sprintf("rate(%d %s) → %s", n, unit, s.Function)
	}
	for _, r := range topology.EventRules {
		want[r.Name] = fmt.Sprintf("[%s] [%s] [%s] → %s", r.Source, r.DetailType, r.LastStatus, r.Function)
	}
	for _, r := range c.all("AWS::Events::Rule") {
		when := fmt.Sprint(r.get("ScheduleExpression"))
		if p := r.get("EventPattern"); p != nil {
			when = fmt.Sprintf("%v %v %v", dig(p, "source"), dig(p, "detail-type"), dig(p, "detail", "lastStatus"))
			if clusters := list(dig(p, "detail", "clusterArn")); len(clusters) != 1 || !strings.HasSuffix(c.text(r.stack, clusters[0]), ":cluster/"+e.prefix()) {
				t.Errorf("%s hears of other clusters' containers: %v", r, clusters)
			}
		}
		for _, target := range list(r.get("Targets")) {
			got[strings.TrimPrefix(r.get("Name").(string), e.prefix()+"-")] = when + " → " + c.named(e, c.text(r.stack, dig(target, "Arn")))
		}
	}
	equal(t, "rule", want, got)
}

func (c cloud) tableEquals(t *testing.T) {
	tables := c.all("AWS::DynamoDB::Table")
	if len(tables) != 1 {
		t.Fatalf("%d tables", len(tables))
	}
	table, spec := tables[0], topology.SingleTable
	keys := func(schema any) string {
		var out []string
		for _, k := range list(schema) {
			out = append(out, fmt.Sprintf("%s %s", dig(k, "KeyType"), dig(k, "AttributeName")))
		}
		return strings.Join(out, ", ")
	}
	want := map[string]string{"": fmt.Sprintf("HASH %s, RANGE %s", spec.PartitionKey, spec.SortKey), "TTL": spec.TTL}
	got := map[string]string{"": keys(table.get("KeySchema")), "TTL": fmt.Sprint(table.get("TimeToLiveSpecification", "AttributeName"))}
	for _, i := range spec.Indexes {
		want[i.Name] = fmt.Sprintf("HASH %s, RANGE %s, %s", i.PartitionKey, i.SortKey, map[bool]string{true: "KEYS_ONLY", false: "ALL"}[i.KeysOnly])
	}
	for _, i := range list(table.get("GlobalSecondaryIndexes")) {
		got[dig(i, "IndexName").(string)] = keys(dig(i, "KeySchema")) + ", " + fmt.Sprint(dig(i, "Projection", "ProjectionType"))
	}
	equal(t, "index", want, got)
}

func (c cloud) workersEqual(t *testing.T, e Environment) {
	want, got := map[string]string{}, map[string]string{}
	for _, a := range agent.All() {
		want[topology.TaskFamily(e.prefix()+"-worker", a.Name)] = fmt.Sprintf("%d CPU, %d MB, image %s-worker-%s", a.CPU, a.MemoryMB, e.prefix(), a.Name)
	}
	for _, d := range c.all("AWS::ECS::TaskDefinition") {
		for _, container := range list(d.get("ContainerDefinitions")) {
			if dig(container, "Name") != topology.Worker.Container {
				t.Errorf("%s: the container is %v", d, dig(container, "Name"))
			}
			got[d.get("Family").(string)] = fmt.Sprintf("%v CPU, %v MB, image %s", d.get("Cpu"), d.get("Memory"), c.repository(c.text(d.stack, dig(container, "Image"))))
		}
	}
	equal(t, "task definition", want, got)
}

// repository is the name of the repository that an image's address leads to.
func (c cloud) repository(image string) string {
	for _, r := range c.all("AWS::ECR::Repository") {
		if strings.Contains(image, "${"+r.String()+"}:") {
			return path.Base(r.get("RepositoryName").(string))
		}
	}
	return image
}
