package recorder

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"path"
	"slices"
	"strings"

	"outpost/shared/artifact"
	"outpost/shared/topology"
)

// TenantSecrets begins the names of tenants' secrets in Secrets Manager.
const TenantSecrets = "outpost/tenants/"

// permissions are what a request needs on AWS, in the topology's words. There
// is one table, one bucket, one key and so on here, so the kind of a resource
// says which it is; of the bucket, the beginning of the object's key, and of
// secrets that of their names.
func permissions(c Call, req *http.Request, body []byte) []topology.Permission {
	one := func(action string, r topology.Resource) []topology.Permission {
		return []topology.Permission{{Action: c.Service + ":" + action, Resource: r}}
	}
	var in struct {
		IndexName, QueueUrl string
		Name, SecretId      string
		TransactItems       []map[string]json.RawMessage
	}
	_ = json.Unmarshal(body, &in) // what cannot be read the engine refuses
	switch c.Service {
	case "dynamodb":
		return tablePermissions(c.Action, in.IndexName, in.TransactItems)
	case "sqs":
		return one(c.Action, topology.Queue(strings.TrimSuffix(path.Base(in.QueueUrl), ".fifo")))
	case "s3":
		if permissions, ok := ofMany(req, body); ok {
			return permissions
		}
		if _, key, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/"); strings.HasPrefix(key, "audit/") {
			return one(objectAction(req.Method), topology.AuditObjects)
		}
		return one(objectAction(req.Method), topology.Bucket)
	case "kms":
		return one(c.Action, topology.Key)
	case "secretsmanager":
		if strings.HasPrefix(in.Name+in.SecretId, TenantSecrets) {
			return one(c.Action, topology.TenantSecrets)
		}
		return one(c.Action, topology.PlatformSecret)
	case "states":
		if c.Action == "DescribeExecution" {
			return one(c.Action, topology.Executions)
		}
		return one(c.Action, topology.Workflow)
	case "ecs":
		if c.Action == "RunTask" {
			return one(c.Action, topology.TaskDefinitions)
		}
		return one(c.Action, topology.Containers)
	}
	return one(c.Action, "")
}

// tablePermissions takes a transaction apart: IAM asks for its parts.
func tablePermissions(action, index string, items []map[string]json.RawMessage) []topology.Permission {
	if action != "TransactWriteItems" {
		r := topology.Table
		if index != "" {
			r = topology.TableIndex(index)
		}
		return []topology.Permission{{Action: "dynamodb:" + action, Resource: r}}
	}
	var out []topology.Permission
	for _, item := range items {
		for part := range item {
			if part == "ConditionCheck" {
				part = "Check"
			}
			if p, ok := topology.TablePermission(topology.Access(strings.ToLower(part))); ok && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// ofMany are the permissions of a request that is about many objects: a list of
// keys wants that of where they begin, a deletion those of each.
func ofMany(req *http.Request, body []byte) (permissions []topology.Permission, ok bool) {
	query := req.URL.Query()
	switch {
	case req.Method == http.MethodGet && query.Has("list-type"):
		r := topology.Resource("bucket/of-" + query.Get("prefix")) // which no function has
		if ofRuns(query.Get("prefix")) {
			r = topology.BucketKeys
		}
		return []topology.Permission{{Action: "s3:ListBucket", Resource: r}}, true
	case req.Method == http.MethodPost && query.Has("delete"):
		var in struct {
			Object []struct{ Key string }
		}
		_ = xml.Unmarshal(body, &in) // what cannot be read the engine refuses
		for _, o := range in.Object {
			p := topology.Permission{Action: "s3:DeleteObject", Resource: topology.Bucket}
			if !ofRuns(o.Key) {
				p.Resource = topology.AuditObjects
			}
			if !slices.Contains(permissions, p) {
				permissions = append(permissions, p)
			}
		}
		return permissions, true
	}
	return nil, false
}

// ofRuns tells whether a key, or the beginning of one, is of an artifact.
func ofRuns(key string) bool {
	return slices.ContainsFunc(artifact.Kinds, func(k artifact.Kind) bool { return strings.HasPrefix(key, k.Prefix+"/") })
}

func objectAction(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return "GetObject"
	case http.MethodPut:
		return "PutObject"
	case http.MethodDelete:
		return "DeleteObject"
	}
	return method
}

// deny answers as AWS does where the caller's role does not allow a call.
func deny(w http.ResponseWriter, c Call, p topology.Permission) (status int) {
	rule := Rule{Status: http.StatusBadRequest, Code: "AccessDeniedException", Extra: map[string]any{
		"message": c.Caller + " is not authorized to perform " + p.Action + " on " + string(p.Resource) + ": shared/topology does not say so"}}
	return rule.fail(w)
}
