package topology_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"outpost/shared/topology"
)

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, f := range topology.Functions {
		// One build writes every binary into one folder, named by the last
		// element of its path.
		base := path.Base(f.Name)
		if other, ok := seen[base]; ok {
			t.Errorf("%s and %s would be built into the same file", f.Name, other)
		}
		seen[base] = f.Name
	}
	routes := map[string]bool{}
	for _, r := range topology.Routes {
		key := r.Method + " " + r.Path
		if routes[key] {
			t.Errorf("route %s stands twice", key)
		}
		routes[key] = true
	}
}

func TestReferencesExist(t *testing.T) {
	known := func(what, name string) {
		t.Helper()
		if _, ok := topology.FunctionByName(name); !ok {
			t.Errorf("%s names the function %q, which does not exist", what, name)
		}
	}
	queues := map[topology.Resource]bool{}
	for _, q := range topology.Queues {
		known("queue "+q.Name, q.Consumer)
		queues[topology.Queue(q.Name)], queues[topology.DeadLetters(q.Name)] = true, true
	}
	indexes := map[string]bool{}
	for _, i := range topology.SingleTable.Indexes {
		indexes[i.Name] = true
	}
	for _, s := range topology.Schedules {
		known("schedule "+s.Name, s.Function)
	}
	for _, e := range topology.EventRules {
		known("rule "+e.Name, e.Function)
	}
	for _, r := range topology.Routes {
		known("route "+r.Path, r.Function)
		if r.Authorizer != topology.Open {
			known("route "+r.Path, string(r.Authorizer))
		}
	}
	for _, f := range topology.Functions {
		uses := slices.Clone(f.Uses)
		for store, more := range f.Secrets {
			if !slices.Contains(topology.SecretStores, store) {
				t.Errorf("%s knows a store of secrets %q, which does not exist", f.Name, store)
			}
			uses = append(uses, more...)
		}
		for _, u := range uses {
			_ = u.Permissions() // panics on an access that the resource does not have
			if index, ok := strings.CutPrefix(string(u.Resource), "table/index/"); ok && !indexes[index] {
				t.Errorf("%s uses the index %s, which does not exist", f.Name, index)
			}
			if strings.HasPrefix(string(u.Resource), "queue/") && !queues[u.Resource] {
				t.Errorf("%s uses %s, which does not exist", f.Name, u.Resource)
			}
			if len(u.Env()) == 0 {
				t.Errorf("%s uses %s, which gives no environment variable", f.Name, u.Resource)
			}
			if len(u.Access) == 0 {
				t.Errorf("%s uses %s for nothing", f.Name, u.Resource)
			}
		}
		for _, name := range f.Settings {
			if _, ok := topology.SettingByName(name); !ok {
				t.Errorf("%s wants the setting %s, which does not exist", f.Name, name)
			}
		}
	}
}

func TestEveryFunctionIsReached(t *testing.T) {
	// The state machine invokes these two; everything else is found below.
	reached := map[string]bool{"workflow/launch": true, "workflow/settle": true}
	for _, r := range topology.Routes {
		reached[r.Function] = true
		reached[string(r.Authorizer)] = true
	}
	for _, q := range topology.Queues {
		reached[q.Consumer] = true
	}
	for _, s := range topology.Schedules {
		reached[s.Function] = true
	}
	for _, e := range topology.EventRules {
		reached[e.Function] = true
	}
	for _, f := range topology.Functions {
		if !reached[f.Name] {
			t.Errorf("nothing invokes %s", f.Name)
		}
	}
}

func TestSettingsAreUsed(t *testing.T) {
	used := map[string]bool{}
	for _, f := range topology.Functions {
		for _, name := range f.Settings {
			if used[f.Name+name] {
				t.Errorf("%s lists %s twice", f.Name, name)
			}
			used[f.Name+name], used[name] = true, true
		}
	}
	for _, s := range topology.Settings {
		if !used[s.Name] {
			t.Errorf("no function uses the setting %s", s.Name)
		}
	}
}

// What a function uses follows the store of tenants' secrets, and each resource
// stands in it once.
func TestAFunctionUsesOneStoreOfSecrets(t *testing.T) {
	for _, f := range topology.Functions {
		for _, store := range topology.SecretStores {
			seen := map[topology.Resource]bool{}
			for _, u := range f.Of(store).Uses {
				if seen[u.Resource] {
					t.Errorf("%s uses %s twice", f.Name, u.Resource)
				}
				seen[u.Resource] = true
			}
			if seen[topology.Key] && store != topology.InTable || seen[topology.TenantSecrets] && store != topology.InSecretsManager {
				t.Errorf("%s uses the other store than %s", f.Name, store)
			}
		}
	}
	put, _ := topology.FunctionByName("api/put-secret")
	if len(put.Uses) != 1 || len(put.Of(topology.InTable).Uses) != 2 || len(put.Of(topology.InTable).Uses[0].Access) != 6 {
		t.Errorf("put-secret: %v, in the table %v", put.Uses, put.Of(topology.InTable).Uses)
	}
}

func TestTimeoutsNest(t *testing.T) {
	// A visible message must not be delivered again while its consumer runs.
	for _, q := range topology.Queues {
		f, _ := topology.FunctionByName(q.Consumer)
		if q.VisibilityTimeout < 2*f.Timeout {
			t.Errorf("queue %s becomes visible after %s, its consumer may run %s", q.Name, q.VisibilityTimeout, f.Timeout)
		}
	}
	for _, s := range topology.Schedules {
		f, _ := topology.FunctionByName(s.Function)
		if f.Timeout > s.Every {
			t.Errorf("%s runs up to %s and is started every %s", f.Name, f.Timeout, s.Every)
		}
	}
}
