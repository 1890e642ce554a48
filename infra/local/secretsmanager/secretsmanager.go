// Package secretsmanager is the part of AWS Secrets Manager that Outpost calls:
// create, get, put, delete and describe, over secrets kept in one file that its
// owner alone can read. A version never changes; labels move from one to
// another. Secrets are deleted at once and without recovery, or not at all.
package secretsmanager

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"outpost/infra/local/awsjson"
	"outpost/infra/local/durable"
	"outpost/shared/clock"
	"outpost/shared/id"
)

// arnPrefix stands before a secret's name in its ARN.
const arnPrefix = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"

// The limits of AWS that Outpost can meet.
const (
	maxValue    = 65536 // bytes of a secret
	maxVersions = 100   // kept of those without a label
)

// The labels that move by themselves.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

// Service keeps the secrets.
type Service struct {
	path string

	mu      sync.Mutex
	secrets map[string]secret // by name
}

// secret is a secret's versions, the oldest first, and which has which label.
type secret struct {
	Versions []version
	Labels   map[string]string // version's id by label

	version // the only one, in files of earlier days
}

type version struct{ ID, Value string }

func (s secret) find(id string) (version, bool) {
	i := slices.IndexFunc(s.Versions, func(v version) bool { return v.ID == id })
	if i < 0 {
		return version{}, false
	}
	return s.Versions[i], true
}

// Open loads the secrets kept in dir.
func Open(dir string) (*Service, error) {
	s := &Service{path: filepath.Join(dir, "secrets.json"), secrets: map[string]secret{}}
	err := durable.Read(s.path, &s.secrets)
	for name, old := range s.secrets {
		if old.ID != "" {
			s.secrets[name] = secret{Versions: []version{old.version}, Labels: map[string]string{current: old.ID}}
		}
	}
	return s, err
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
	SecretBinary                 []byte
	ClientRequestToken           string // the version's id; the SDK makes one for each call, and sends it again with each try
	VersionStages                []string
	VersionId, VersionStage      string
	ForceDeleteWithoutRecovery   bool
}
type output struct {
	ARN           string
	Name          string
	VersionId     string   `json:",omitempty"`
	SecretString  string   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
}

// create makes a secret, which without a value has no version yet.
func (s *Service) create(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.Name == "" {
		return output{}, awsjson.Errorf("InvalidParameterException", "a secret needs a name")
	}
	if old, ok := s.secrets[in.Name]; ok {
		if v, ok := old.find(in.ClientRequestToken); ok && v.Value == in.SecretString { // the first answer was lost
			return output{ARN: ARN(in.Name), Name: in.Name, VersionId: v.ID}, nil
		}
		return output{}, awsjson.Errorf("ResourceExistsException", "the secret %s exists", in.Name)
	}
	if in.SecretString == "" && in.SecretBinary == nil {
		return output{ARN: ARN(in.Name), Name: in.Name}, s.keep(in.Name, secret{})
	}
	return s.add(in.Name, in)
}

func (s *Service) put(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, err := s.find(in.SecretId)
	if err != nil {
		return output{}, err
	}
	if v, ok := s.secrets[name].find(in.ClientRequestToken); ok {
		if v.Value != in.SecretString {
			return output{}, awsjson.Errorf("ResourceExistsException", "the version %s has another value", v.ID)
		}
		return output{ARN: ARN(name), Name: name, VersionId: v.ID}, nil
	}
	return s.add(name, in)
}

func (s *Service) get(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, err := s.find(in.SecretId)
	if err != nil {
		return output{}, err
	}
	of := s.secrets[name]
	if in.VersionStage == "" && in.VersionId == "" {
		in.VersionStage = current
	}
	if in.VersionStage != "" {
		labelled := of.Labels[in.VersionStage]
		if in.VersionId != "" && in.VersionId != labelled {
			return output{}, awsjson.Errorf("InvalidRequestException", "the version %s is not labelled %s", in.VersionId, in.VersionStage)
		}
		in.VersionId = labelled
	}
	v, ok := of.find(in.VersionId)
	if !ok {
		return output{}, awsjson.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret value.")
	}
	out := output{ARN: ARN(name), Name: name, VersionId: v.ID, SecretString: v.Value}
	for _, label := range slices.Sorted(maps.Keys(of.Labels)) {
		if of.Labels[label] == v.ID {
			out.VersionStages = append(out.VersionStages, label)
		}
	}
	return out, nil
}

func (s *Service) describe(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, err := s.find(in.SecretId)
	return output{ARN: ARN(name), Name: name}, err
}

// delete is no error for a secret that is not there.
func (s *Service) delete(_ context.Context, in input) (output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !in.ForceDeleteWithoutRecovery {
		return output{}, awsjson.Errorf("InvalidParameterException", "secrets are deleted here with ForceDeleteWithoutRecovery alone")
	}
	name, err := s.find(in.SecretId)
	if err != nil {
		return output{ARN: ARN(in.SecretId), Name: in.SecretId}, nil
	}
	left := maps.Clone(s.secrets)
	delete(left, name)
	return output{ARN: ARN(name), Name: name}, s.keepAll(left)
}

// add adds a version to a secret, which it may make, with the labels that it is to
// have.
func (s *Service) add(name string, in input) (output, error) {
	if in.SecretString == "" || len(in.SecretString) > maxValue {
		return output{}, awsjson.Errorf("InvalidParameterException", "a secret has a text of 1 to %d bytes", maxValue)
	}
	v := version{ID: in.ClientRequestToken, Value: in.SecretString}
	if v.ID == "" {
		v.ID = id.NewULID(clock.System.Now())
	}
	old := s.secrets[name]
	labels := maps.Clone(old.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	wanted := in.VersionStages
	if len(wanted) == 0 || len(old.Versions) == 0 {
		wanted = append(slices.Clone(wanted), current)
	}
	if before := labels[current]; before != "" && slices.Contains(wanted, current) {
		labels[previous] = before
	}
	for _, label := range wanted {
		labels[label] = v.ID
	}
	versions := append(slices.Clone(old.Versions), v)
	labelled := slices.Collect(maps.Values(labels))
	for i := 0; i < len(versions) && len(versions) > maxVersions; {
		if slices.Contains(labelled, versions[i].ID) {
			i++
		} else {
			versions = slices.Delete(versions, i, i+1)
		}
	}
	return output{ARN: ARN(name), Name: name, VersionId: v.ID}, s.keep(name, secret{Versions: versions, Labels: labels})
}

func (s *Service) keep(name string, changed secret) error {
	all := maps.Clone(s.secrets)
	all[name] = changed
	return s.keepAll(all)
}

// keepAll writes the secrets, and only then knows them.
func (s *Service) keepAll(secrets map[string]secret) error {
	if err := durable.Write(s.path, secrets); err != nil {
		return err
	}
	s.secrets = secrets
	return nil
}

func (s *Service) find(secretID string) (name string, err error) {
	name = strings.TrimPrefix(secretID, arnPrefix)
	if _, ok := s.secrets[name]; !ok {
		return "", awsjson.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	return name, nil
}
