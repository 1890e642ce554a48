package ecs

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"outpost/infra/local/awsjson"
	"outpost/shared/topology"
)

// maxOverrides bounds a RunTask call's overrides, in characters of their JSON,
// as Amazon does.
const maxOverrides = 8192

// runTaskInput holds what a task is made from, and what no process needs but
// belongs to the request that a client token stands for.
type runTaskInput struct {
	Cluster, TaskDefinition, ClientToken, Group, StartedBy string

	Count                                                *int
	Overrides                                            json.RawMessage
	LaunchType                                           string
	CapacityProviderStrategy, NetworkConfiguration, Tags json.RawMessage
}

func (s *Service) runTask(_ context.Context, in runTaskInput) (tasksOutput, error) {
	out := tasksOutput{Tasks: []view{}, Failures: []failure{}}
	if err := s.checkCluster(in.Cluster); err != nil {
		return out, err
	}
	def, ok := s.Families[in.TaskDefinition]
	if !ok {
		return out, awsjson.Errorf("ClientException", "no task definition %s", in.TaskDefinition)
	}
	if in.Count != nil && *in.Count != 1 {
		return out, awsjson.Errorf("InvalidParameterException", "one call runs one task here, not %d", *in.Count)
	}
	env, err := environment(in.Overrides)
	if err != nil {
		return out, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return out, s.ctx.Err()
	}
	s.forget()
	digest, err := in.digest()
	if err != nil {
		return out, err
	}
	if t := s.byToken[in.ClientToken]; t != nil && in.ClientToken != "" {
		if t.Request != digest {
			return out, &awsjson.Error{Code: "ConflictException", Message: "the client token was used with another request",
				Extra: map[string]any{"resourceIds": []string{t.ARN}}}
		}
		out.Tasks = append(out.Tasks, t.view())
		return out, nil
	}
	if s.Refuse != nil {
		if reason := s.Refuse(in.TaskDefinition); reason != "" {
			out.Failures = append(out.Failures, failure{Reason: reason})
			return out, nil
		}
	}
	for _, other := range s.tasks {
		if other.StartedBy == in.StartedBy && other.LastStatus != "STOPPED" {
			s.doubles++
		}
	}
	t := newTask(record{
		ARN:    strings.Replace(s.Cluster, ":cluster/", ":task/", 1) + "/" + strings.ToLower(rand.Text()),
		Family: in.TaskDefinition, Group: in.Group, StartedBy: in.StartedBy, ClientToken: in.ClientToken, Request: digest,
		Environment: env, CreatedAt: s.Clock.Now(), LastStatus: "RUNNING",
	})
	if err := s.save(t); err != nil {
		return out, err
	}
	s.tasks[t.ARN], s.byToken[t.ClientToken] = t, t
	s.work.Go(func() { s.run(t, def) })
	out.Tasks = append(out.Tasks, t.view())
	return out, nil
}

// digest is equal for equal requests.
func (in runTaskInput) digest() (string, error) {
	body, err := json.Marshal(in)
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), err
}

// environment reads the overrides, which may set the container's environment
// and nothing else.
func environment(overrides json.RawMessage) (map[string]string, error) {
	if len(overrides) > maxOverrides {
		return nil, awsjson.Errorf("InvalidParameterException", "the overrides are longer than %d characters", maxOverrides)
	}
	var in struct {
		ContainerOverrides []struct {
			Name        string
			Environment []struct{ Name, Value string }
		}
	}
	if len(overrides) > 0 {
		dec := json.NewDecoder(strings.NewReader(string(overrides)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			return nil, awsjson.Errorf("InvalidParameterException", "overrides: %v", err)
		}
	}
	env := map[string]string{}
	for _, c := range in.ContainerOverrides {
		if c.Name != topology.Worker.Container {
			return nil, awsjson.Errorf("InvalidParameterException", "the task definition has no container %q", c.Name)
		}
		for _, p := range c.Environment {
			env[p.Name] = p.Value
		}
	}
	return env, nil
}
