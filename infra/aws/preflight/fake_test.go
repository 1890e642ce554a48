package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// awsAccount answers the SDK's real clients as AWS would, on the wire.
type awsAccount struct {
	concurrency       int
	applied, standard map[string]float64 // by service/name
	fixed             string             // service/name that is not adjustable
	tables            int
	bootstrap         string            // empty: not there
	denied            map[string]string // operation, or operation/service, to the error's code
}

// codes are the real ones.
var codes = map[string]string{
	"lambda/Concurrent executions":                                "L-B99A9384",
	"fargate/Fargate On-Demand vCPU resource count":               "L-3032A538",
	"fargate/Fargate Spot vCPU resource count":                    "L-36FBB829",
	"fargate/Fargate Spot Sustained Launch Rate":                  "L-FAA52651",
	"fargate/Fargate On-Demand Sustained Launch Rate":             "L-A",
	"states/StartExecution throttle token refill rate per second": "L-B",
	"apigateway/Throttle rate":                                    "L-8A5B8E43",
	"dynamodb/Maximum number of tables":                           "L-F98FE922",
}

// plenty is an account in which nothing is short. Its API Gateway has AWS's
// default, which is not among the applied values.
func plenty() awsAccount {
	return awsAccount{
		concurrency: 1000, tables: 3, bootstrap: "30", denied: map[string]string{},
		applied: map[string]float64{
			"fargate/Fargate On-Demand vCPU resource count":               4000,
			"fargate/Fargate Spot vCPU resource count":                    4000,
			"fargate/Fargate On-Demand Sustained Launch Rate":             20,
			"fargate/Fargate Spot Sustained Launch Rate":                  20,
			"states/StartExecution throttle token refill rate per second": 150,
			"dynamodb/Maximum number of tables":                           2500,
		},
		standard: map[string]float64{
			"lambda/Concurrent executions":                  1000,
			"fargate/Fargate On-Demand vCPU resource count": 6,
			"apigateway/Throttle rate":                      10000,
		},
	}
}

func (a awsAccount) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ ServiceCode, NextToken, ExclusiveStartTableName string }
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case strings.Contains(r.URL.Path, "account-settings"):
		operation = "GetAccountSettings"
	case operation == "":
		operation = "GetCallerIdentity" // the query protocol
	default:
		_ = json.NewDecoder(r.Body).Decode(&in)
	}
	for _, refused := range []string{operation, operation + "/" + in.ServiceCode} {
		if code := a.denied[refused]; code != "" {
			a.refuse(w, operation, code)
			return
		}
	}
	switch operation {
	case "GetCallerIdentity":
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/op</Arn><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	case "GetAccountSettings":
		fmt.Fprintf(w, `{"AccountLimit":{"ConcurrentExecutions":%d}}`, a.concurrency)
	case "ListServiceQuotas":
		a.page(w, a.applied, in.ServiceCode, in.NextToken)
	case "ListAWSDefaultServiceQuotas":
		a.page(w, a.standard, in.ServiceCode, in.NextToken)
	case "ListTables":
		a.oneTable(w, in.ExclusiveStartTableName)
	case "GetParameter":
		if a.bootstrap == "" {
			a.refuse(w, operation, "ParameterNotFound")
			return
		}
		fmt.Fprintf(w, `{"Parameter":{"Value":%q}}`, a.bootstrap)
	default:
		a.refuse(w, operation, "UnknownOperationException")
	}
}

func (awsAccount) refuse(w http.ResponseWriter, operation, code string) {
	if operation == "GetCallerIdentity" {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(403)
		fmt.Fprintf(w, `<ErrorResponse><Error><Code>%s</Code><Message>no</Message></Error></ErrorResponse>`, code)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-ErrorType", code)
	w.WriteHeader(400)
	fmt.Fprintf(w, `{"__type":%q,"message":"no"}`, code)
}

// page answers one quota a page.
func (a awsAccount) page(w http.ResponseWriter, values map[string]float64, service, token string) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(values)), func(n string) bool { return !strings.HasPrefix(n, service+"/") })
	at := 0
	fmt.Sscan(token, &at)
	out := map[string]any{"Quotas": []any{}}
	if at < len(names) {
		out["Quotas"] = []any{map[string]any{"QuotaName": names[at][len(service)+1:], "QuotaCode": codes[names[at]],
			"Value": values[names[at]], "Adjustable": names[at] != a.fixed}}
	}
	if at+1 < len(names) {
		out["NextToken"] = fmt.Sprint(at + 1)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// oneTable answers one table a page.
func (a awsAccount) oneTable(w http.ResponseWriter, after string) {
	at := 0
	fmt.Sscanf(after, "table-%d", &at)
	out := map[string]any{"TableNames": []string{}}
	if at < a.tables {
		out["TableNames"] = []string{fmt.Sprintf("table-%d", at+1)}
	}
	if at+1 < a.tables {
		out["LastEvaluatedTableName"] = fmt.Sprintf("table-%d", at+1)
	}
	_ = json.NewEncoder(w).Encode(out)
}
