// Package secretsmanager is the part of AWS Secrets Manager that Outpost calls:
// create, get, put, delete and describe, over secrets kept in one file that its
// owner alone can read.
package secretsmanager

import (
	"context"
	"path/filepath"
	"sync"

	"outpost/infra/local/awsjson"
	"outpost/infra/local/durable"
	"outpost/shared/clock"
	"outpost/shared/id"
)

// arnPrefix stands before a secret's name in its ARN.
const arnPrefix = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"

// Service keeps the secrets.
type Service struct {
	path string

	mu      sync.Mutex
	secrets map[string]version // by name
}

type version struct{ ID, Value string }

// Open loads the secrets kept in dir.
func Open(dir string) (*Service, error) {
	s := &Service{path: filepath.Join(dir, "secrets.json"), secrets: map[string]version{}}
	return s, durable.Read(s.path, &s.secrets)
}

// ARN is the ARN of the secret of a name.
func ARN(name string) string { return arnPrefix + name }

// Handler serves the AWS JSON protocol.
func (s *Service) Handler() awsjson.Service {
	return awsjson.Service{Name: "Secrets Manager", Operations: map[string]awsjson.Operation{
		"CreateSecret":   awsjson.Op(s.create),
		"GetSecretValue": awsjson.Op(s.get),
		"PutSecretValue": awsjson.Op(s.put),
		"DeleteSecret":   awsjson.Op(s.delete),
		"DescribeSecret": awsjson.Op(s.describe),
	}}
}

type input struct{ Name, SecretId, SecretString string }
type output struct {
	ARN          string
	Name         string
	VersionId    string `json:",omitempty"`
	SecretString string `json:",omitempty"`
}

func (s *Service) create(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.secrets[in.Name]; ok {
		return output{}, awsjson.Errorf("ResourceExistsException", "the secret %s exists", in.Name)
	}
	return s.set(in.Name, in.SecretString)
}

func (s *Service) put(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _, err := s.find(in.SecretId)
	if err != nil {
		return output{}, err
	}
	return s.set(name, in.SecretString)
}

func (s *Service) get(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, v, err := s.find(in.SecretId)
	return output{ARN: ARN(name), Name: name, VersionId: v.ID, SecretString: v.Value}, err
}

func (s *Service) describe(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _, err := s.find(in.SecretId)
	return output{ARN: ARN(name), Name: name}, err
}

func (s *Service) delete(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _, err := s.find(in.SecretId)
	if err != nil {
		return output{}, err
	}
	delete(s.secrets, name)
	return output{ARN: ARN(name), Name: name}, durable.Write(s.path, s.secrets)
}

func (s *Service) set(name, value string) (output, error) {
	if name == "" || value == "" {
		return output{}, awsjson.Errorf("InvalidParameterException", "a secret needs a name and a value")
	}
	v := version{ID: id.NewULID(clock.System.Now()), Value: value}
	s.secrets[name] = v
	return output{ARN: ARN(name), Name: name, VersionId: v.ID}, durable.Write(s.path, s.secrets)
}

func (s *Service) find(secretID string) (string, version, error) {
	name := secretID
	if len(name) > len(arnPrefix) && name[:len(arnPrefix)] == arnPrefix {
		name = name[len(arnPrefix):]
	}
	v, ok := s.secrets[name]
	if !ok {
		return "", version{}, awsjson.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	return name, v, nil
}
