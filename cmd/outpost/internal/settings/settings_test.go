package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/cmd/outpost/internal/settings"
	"outpost/shared/apikey"
)

func key(t *testing.T) string {
	t.Helper()
	k, err := apikey.New(apikey.Test)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestFlagsBeatTheEnvironmentAndThatTheFile(t *testing.T) {
	byFlag, byEnv, byFile := key(t), key(t), key(t)
	keyFile := write(t, "key", byFlag+"\n", 0o600)
	config := write(t, "config.json", `{"url": "https://file.example", "api_key": "`+byFile+`"}`, 0o600)
	full := []string{"OUTPOST_URL", "https://env.example", "OUTPOST_API_KEY", byEnv}
	for _, c := range []struct {
		why      string
		flags    settings.Flags
		env      []string
		url, key string
	}{
		{"flags first", settings.Flags{URL: "https://flag.example", KeyFile: keyFile, Config: config}, full, "https://flag.example", byFlag},
		{"then the environment", settings.Flags{Config: config}, full, "https://env.example", byEnv},
		{"then the file", settings.Flags{Config: config}, nil, "https://file.example", byFile},
		{"each for itself", settings.Flags{Config: config, URL: "https://flag.example"}, full[2:], "https://flag.example", byEnv},
	} {
		s, err := settings.Load(c.flags, environment(c.env...))
		if err != nil || s.URL != c.url || s.Key != c.key || len(s.Warnings) > 0 {
			t.Errorf("%s: got %s and the key %t, %v, %v", c.why, s.URL, s.Key == c.key, s.Warnings, err)
		}
	}
}

func TestTheFileIsInTheUsersConfiguration(t *testing.T) {
	for _, c := range []struct{ why, xdg, home, want string }{
		{"XDG says where", "/x", "/h", "/x/outpost/config.json"},
		{"the home is the default", "", "/h", "/h/.config/outpost/config.json"},
		{"a relative XDG path is to be ignored", "x", "/h", "/h/.config/outpost/config.json"},
		{"no home, no file", "", "", ""},
	} {
		if got := settings.Path(environment("XDG_CONFIG_HOME", c.xdg, "HOME", c.home)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.why, got, c.want)
		}
	}
	home := t.TempDir()
	dir := filepath.Join(home, ".config", "outpost")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"url":"https://h","api_key":"`+key(t)+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := settings.Load(settings.Flags{}, environment("HOME", home)); err != nil || s.URL != "https://h" {
		t.Errorf("got %q, %v", s.URL, err)
	}
}

func TestWhatIsRiskyIsWarnedOf(t *testing.T) {
	k := key(t)
	for _, c := range []struct {
		why   string
		flags settings.Flags
		url   string
		want  string // empty for no warning
	}{
		{"a configuration that others read", settings.Flags{Config: write(t, "c", `{"api_key":"`+k+`"}`, 0o644)}, "https://h", "chmod 600"},
		{"a key file that others read", settings.Flags{KeyFile: write(t, "k", k, 0o640)}, "https://h", "chmod 600"},
		{"a configuration without a key may be read", settings.Flags{Config: write(t, "c", `{}`, 0o644), KeyFile: write(t, "k", k, 0o600)}, "https://h", ""},
		{"plain HTTP to another machine", settings.Flags{KeyFile: write(t, "k", k, 0o600)}, "http://outpost.example", "in clear"},
		{"plain HTTP on this machine", settings.Flags{KeyFile: write(t, "k", k, 0o600)}, "http://127.0.0.1:8080", ""},
		{"plain HTTP on this machine, by IPv6", settings.Flags{KeyFile: write(t, "k", k, 0o600)}, "http://[::1]:8080", ""},
		{"a host that begins like this machine", settings.Flags{KeyFile: write(t, "k", k, 0o600)}, "http://127.0.0.1.evil.example", "in clear"},
	} {
		s, err := settings.Load(c.flags, environment("OUTPOST_URL", c.url))
		text := strings.Join(s.Warnings, " ")
		if err != nil || (text == "") != (c.want == "") || !strings.Contains(text, c.want) {
			t.Errorf("%s: warnings %q, %v", c.why, s.Warnings, err)
		}
	}
}

func TestWhatIsWrongIsNamedWithoutTheKey(t *testing.T) {
	good := key(t)
	typo := good[:20] + "x" + good[21:]
	if typo == good {
		typo = good[:20] + "y" + good[21:]
	}
	for _, c := range []struct {
		why   string
		flags settings.Flags
		env   []string
		want  string
	}{
		{"no address", settings.Flags{}, []string{"OUTPOST_API_KEY", good}, "OUTPOST_URL"},
		{"no key", settings.Flags{URL: "https://h"}, nil, "OUTPOST_API_KEY"},
		{"a typo in the key", settings.Flags{URL: "https://h"}, []string{"OUTPOST_API_KEY", typo}, "OUTPOST_API_KEY is not an API key"},
		{"another file in place of the key", settings.Flags{URL: "https://h", KeyFile: write(t, "k", "-----BEGIN", 0o600)}, nil, "is not an API key"},
		{"a key file that is not there", settings.Flags{URL: "https://h", KeyFile: "/none"}, nil, "/none"},
		{"a huge key file", settings.Flags{URL: "https://h", KeyFile: write(t, "k", strings.Repeat("x", 1<<20), 0o600)}, nil, "larger than 64 KiB"},
		{"a named configuration that is not there", settings.Flags{Config: "/none"}, nil, "/none"},
		{"a configuration that is no JSON", settings.Flags{Config: write(t, "c", "url=x", 0o600)}, nil, "must be"},
		{"a misspelt field", settings.Flags{Config: write(t, "c", `{"apikey":"`+good+`"}`, 0o600)}, nil, "apikey"},
		{"an address without a scheme", settings.Flags{URL: "outpost.example"}, []string{"OUTPOST_API_KEY", good}, "https://host"},
		{"an address with a password", settings.Flags{URL: "https://u:p@h"}, []string{"OUTPOST_API_KEY", good}, "https://host"},
		{"another scheme", settings.Flags{URL: "ftp://h"}, []string{"OUTPOST_API_KEY", good}, "https://host"},
	} {
		_, err := settings.Load(c.flags, environment(c.env...))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", c.why, err)
			continue
		}
		if strings.Contains(err.Error(), good) || strings.Contains(err.Error(), typo) {
			t.Errorf("%s: the error tells the key: %v", c.why, err)
		}
	}
}
