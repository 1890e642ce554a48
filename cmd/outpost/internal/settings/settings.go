// Package settings finds out which Outpost to talk to and with which API key:
// from flags, then the environment, then a file. A key never stands on the
// command line, where every user of the machine and the shell's history see it.
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"outpost/shared/apikey"
)

// The environment.
const (
	EnvURL = "OUTPOST_URL"
	EnvKey = "OUTPOST_API_KEY"
	// EnvOperatorKey holds the operator's key, which no configuration file does:
	// it is for who runs an Outpost, now and then.
	EnvOperatorKey = "OUTPOST_OPERATOR_KEY"
)

// Flags are what the command line says; empty means nothing.
type Flags struct {
	URL     string
	KeyFile string // holds the API key and nothing else
	Config  string // file to read in place of the usual one
	// Operator asks for the operator's key in place of a tenant's.
	Operator bool
	// Keyless asks for no key, and for an address only where there is one: the
	// command speaks to another service.
	Keyless bool
}

// Settings are complete and checked.
type Settings struct {
	URL string
	Key string
	// Warnings are sentences about what is risky and yet allowed.
	Warnings []string
}

// file is the content of the configuration file.
type file struct {
	URL string `json:"url"`
	Key string `json:"api_key"`
}

// Load collects the settings. An error says what is missing and where to put
// it; it never quotes a key.
func Load(f Flags, getenv func(string) string) (Settings, error) {
	var s Settings
	conf, err := s.readFile(f.Config, getenv)
	if err != nil {
		return Settings{}, err
	}
	s.URL = firstOf(f.URL, getenv(EnvURL), conf.URL)
	if s.URL == "" && f.Keyless {
		return s, nil
	}
	if s.URL == "" {
		return Settings{}, fmt.Errorf("no address of Outpost: use --url, set %s, or put \"url\" into the configuration file (outpost run --help)", EnvURL)
	}
	if err := s.checkURL(); err != nil {
		return Settings{}, err
	}
	if f.Keyless {
		s.Warnings = nil // they are about a key
		return s, nil
	}
	source, none := EnvKey, fmt.Sprintf("no API key: set %s, use --api-key-file, or put \"api_key\" into the configuration file", EnvKey)
	switch {
	case f.KeyFile != "":
		source = f.KeyFile
		s.Key, err = s.readKey(f.KeyFile)
	case f.Operator:
		source, none = EnvOperatorKey, fmt.Sprintf("no operator's key: set %s or use --api-key-file", EnvOperatorKey)
		s.Key = getenv(EnvOperatorKey)
	case getenv(EnvKey) != "":
		s.Key = getenv(EnvKey)
	default:
		source, s.Key = "the configuration file", conf.Key
	}
	if err != nil {
		return Settings{}, err
	}
	if s.Key = strings.TrimSpace(s.Key); s.Key == "" {
		return Settings{}, errors.New(none)
	}
	if apikey.Check(s.Key) != nil {
		return Settings{}, fmt.Errorf("what stands in %s is not an API key of Outpost (op_live_… or op_test_…, 46 characters): a character may be missing", source)
	}
	return s, nil
}

// maxFile is the most that is read of a settings file, in bytes.
const maxFile = 64 << 10

// readFile reads the configuration file; that the usual one is missing is no
// error.
func (s *Settings) readFile(named string, getenv func(string) string) (file, error) {
	path := named
	if path == "" {
		if path = Path(getenv); path == "" {
			return file{}, nil
		}
	}
	text, open, err := read(path)
	if errors.Is(err, fs.ErrNotExist) && named == "" {
		return file{}, nil
	}
	if err != nil {
		return file{}, fmt.Errorf("read the configuration file: %w", err)
	}
	var conf file
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&conf); err != nil {
		return file{}, fmt.Errorf("the configuration file %s must be {\"url\": …, \"api_key\": …}: %w", path, err)
	}
	if open && conf.Key != "" {
		s.warnOpen(path)
	}
	return conf, nil
}

func (s *Settings) readKey(path string) (string, error) {
	text, open, err := read(path)
	if err != nil {
		return "", fmt.Errorf("read the API key: %w", err)
	}
	if open {
		s.warnOpen(path)
	}
	return string(text), nil
}

func (s *Settings) warnOpen(path string) {
	s.Warnings = append(s.Warnings, fmt.Sprintf("Other users of this machine can read the API key in %s: chmod 600 it.", path))
}

// read returns a small file, and whether others than its owner may touch it.
func read(path string) (text []byte, open bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d KiB", path, maxFile>>10)
	}
	// A pipe, as of --api-key-file <(command), is nobody else's.
	return text, info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0, err
}

// Path is where the configuration file usually is; empty when there is no home.
func Path(getenv func(string) string) string {
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "outpost", "config.json")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".config", "outpost", "config.json")
	}
	return ""
}

func (s *Settings) checkURL() error {
	u, err := url.Parse(s.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("the address of Outpost must look like https://host, and %q does not", s.URL)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		s.Warnings = append(s.Warnings, fmt.Sprintf("The API key goes to %s in clear: use https.", u.Host))
	}
	return nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
