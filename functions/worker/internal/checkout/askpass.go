package checkout

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"outpost/shared/runner"
)

// envAskpass names the file with the credential. It is set only for git, and
// only while it fetches, which is before any agent runs.
const envAskpass = "OUTPOST_ASKPASS"

// user stands for a token with the hosts that want a name beside it.
const user = "x-access-token"

// credential is a token and the one place it may go to.
type credential struct {
	Scheme string `json:"scheme"`
	Host   string `json:"host"` // with the port, if the URL has one
	Token  string `json:"token"`
}

// askpass stores the source's token for git to ask for, if it has one for this
// host, and returns the environment that makes git ask, and what takes the token
// away again.
func (f *Fetcher) askpass(src runner.Checkout) (env []string, forget func(), err error) {
	u, err := url.Parse(src.Repo)
	if err != nil {
		return nil, nil, fmt.Errorf("the repository is not a URL: %w", err)
	}
	if src.GitToken == "" || u.Scheme == "file" || !strings.EqualFold(u.Host, src.GitHost) {
		return nil, func() {}, nil
	}
	data, err := json.Marshal(credential{Scheme: u.Scheme, Host: u.Host, Token: src.GitToken})
	if err != nil {
		return nil, nil, fmt.Errorf("encode the credential: %w", err)
	}
	path := filepath.Join(f.Git.Dir, "askpass.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return nil, nil, fmt.Errorf("store the credential: %w", err)
	}
	return []string{"GIT_ASKPASS=" + f.Askpass, envAskpass + "=" + path}, func() { _ = os.Remove(path) }, nil
}

// Answer is the whole work of the process that git starts to ask for a
// credential: it tells whether this is one, and does it. Call it first in main.
// It answers questions about the one scheme and host that the token was
// recorded for; a redirect or a rewritten URL gets nothing.
func Answer(args []string, getenv func(string) string) (answer string, asked bool) {
	path := getenv(envAskpass)
	if path == "" || len(args) != 2 {
		return "", path != ""
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", true
	}
	var c credential
	if json.Unmarshal(data, &c) != nil {
		return "", true
	}
	// Username for 'https://host': or Password for 'https://user@host':
	what, rest, _ := strings.Cut(args[1], " for '")
	place, _, _ := strings.Cut(rest, "'")
	u, err := url.Parse(place)
	if err != nil || u.Scheme != c.Scheme || !strings.EqualFold(u.Host, c.Host) {
		return "", true
	}
	switch what {
	case "Username":
		return user, true
	case "Password":
		return c.Token, true
	}
	return "", true
}
