// Package secretsmanager is the part of AWS Secrets Manager that Outpost calls:
// create, get, put, delete and describe, over secrets kept in one file that its
// owner alone can read. A secret has one version; deleting it is at once.
package secretsmanager

import (
	"context"
	"maps"
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

type input struct {
	Name, SecretId, SecretString string
	ClientRequestToken           string // the SDK makes one for each call, and sends it again with each try
	VersionId, VersionStage      string
}
type output struct {
	ARN          string
	Name         string
	VersionId    string `json:",omitempty"`
	SecretString string `json:",omitempty"`
}

func (s *Service) create(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.secrets[in.Name]; ok {
		if v.ID == in.ClientRequestToken && v.Value == in.SecretString { // the first answer was lost
			return output{ARN: ARN(in.Name), Name: in.Name, VersionId: v.ID}, nil
		}
		return output{}, awsjson.Errorf("ResourceExistsException", "the secret %s exists", in.Name)
	}
	return s.set(in.Name, in)
}

func (s *Service) put(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _, err := s.find(in.SecretId)
	if err != nil {
		return output{}, err
	}
	return s.set(name, in)
}

func (s *Service) get(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, v, err := s.find(in.SecretId)
	if err == nil && (in.VersionId != "" && in.VersionId != v.ID || in.VersionStage != "" && in.VersionStage != "AWSCURRENT") {
		err = awsjson.Errorf("ResourceNotFoundException", "only the current version of a secret is kept here")
	}
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
	left := maps.Clone(s.secrets)
	delete(left, name)
	return output{ARN: ARN(name), Name: name}, s.keep(left)
}

func (s *Service) set(name string, in input) (output, error) {
	if name == "" || in.SecretString == "" {
		return output{}, awsjson.Errorf("InvalidParameterException", "a secret needs a name and a text")
	}
	v := version{ID: in.ClientRequestToken, Value: in.SecretString}
	if v.ID == "" {
		v.ID = id.NewULID(clock.System.Now())
	}
	more := maps.Clone(s.secrets)
	more[name] = v
	return output{ARN: ARN(name), Name: name, VersionId: v.ID}, s.keep(more)
}

// keep writes the secrets, and only then knows them.
func (s *Service) keep(secrets map[string]version) error {
	if err := durable.Write(s.path, secrets); err != nil {
		return err
	}
	s.secrets = secrets
	return nil
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
