package image_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"outpost/shared/agent"
)

// instruction is one of a Dockerfile, its continued lines joined.
type instruction struct {
	name  string
	flags []string // --mount=…
	rest  string
}

// stage is what follows one FROM.
type stage struct {
	name, from   string
	instructions []instruction
}

func (s stage) all(name string) []instruction {
	return slices.DeleteFunc(slices.Clone(s.instructions), func(i instruction) bool { return i.name != name })
}

// has tells whether the stage has the instruction, as it is and once.
func (s stage) has(name, rest string) bool {
	found := s.all(name)
	return len(found) == 1 && strings.Join(append(found[0].flags, found[0].rest), " ") == rest
}

// parse splits a Dockerfile into its stages.
func parse(dockerfile string) (stages []stage) {
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(dockerfile, "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	for _, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		i := instruction{name: strings.ToUpper(words[0])}
		words = words[1:]
		for len(words) > 0 && strings.HasPrefix(words[0], "--") {
			i.flags, words = append(i.flags, words[0]), words[1:]
		}
		i.rest = strings.Join(words, " ")
		if i.name == "FROM" {
			from, name, _ := strings.Cut(i.rest, " AS ")
			stages = append(stages, stage{name: name, from: from})
			continue
		}
		if len(stages) == 0 {
			stages = append(stages, stage{})
		}
		last := &stages[len(stages)-1]
		last.instructions = append(last.instructions, i)
	}
	return stages
}

var (
	pinnedImage = regexp.MustCompile(`^docker\.io/library/[a-z]+:[a-z0-9.-]*[0-9][a-z0-9.-]*@sha256:[0-9a-f]{64}$`)
	scriptName  = regexp.MustCompile(`^/image/([a-z-]+\.sh)$`)
)

// The instructions that every target ends with, and that the base has.
var (
	targetEnd = map[string]string{"COPY": "--chmod=0755 worker /usr/local/bin/worker", "ENV": "TMPDIR=/work HOME=/work"}
	baseEnd   = map[string]string{"USER": "0:0", "ENTRYPOINT": `["/usr/local/bin/worker"]`, "VOLUME": `["/work"]`}
)

// complaints holds a Dockerfile against the rules of this folder. scripts are
// the names of those that lie beside it.
func complaints(dockerfile string, scripts []string) (found []string) {
	complain := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if strings.Contains(dockerfile, "://") {
		complain("names a host")
	}
	stages, known, run, targets := parse(dockerfile), map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range stages {
		if !known[s.from] && !pinnedImage.MatchString(s.from) {
			complain("FROM %s: neither a stage nor an image of a version and a digest", s.from)
		}
		known[s.name] = true
		for _, i := range s.instructions {
			switch i.name {
			case "ENV", "COPY", "VOLUME", "USER", "ENTRYPOINT":
			case "RUN":
				argv, err := script(i)
				if err != nil {
					complain("RUN in %s: %v", s.name, err)
					continue
				}
				run[argv[0]] = true
				if !slices.Contains(scripts, argv[0]) {
					complain("RUN in %s: there is no %s", s.name, argv[0])
				}
			default:
				complain("%s in %s", i.name, s.name)
			}
		}
		if s.from != "base" {
			continue
		}
		targets[s.name] = true
		for name, want := range targetEnd {
			if !s.has(name, want) {
				complain("target %s: %s is not %s", s.name, name, want)
			}
		}
		for name := range baseEnd {
			if len(s.all(name)) > 0 {
				complain("target %s has a %s of its own", s.name, name)
			}
		}
	}
	for name, want := range baseEnd {
		if i := slices.IndexFunc(stages, func(s stage) bool { return s.name == "base" }); i < 0 || !stages[i].has(name, want) {
			complain("base: %s is not %s", name, want)
		}
	}
	for _, row := range agent.All() {
		i := slices.IndexFunc(stages, func(s stage) bool { return s.name == row.Name && s.from == "base" })
		if i < 0 {
			complain("no target for %s", row.Name)
			continue
		}
		want := []string{"npm-agent.sh", row.Name, row.Package}
		if row.Name == "aider" {
			want = []string{"aider.sh"}
		}
		runs := stages[i].all("RUN")
		if len(runs) != 1 {
			complain("target %s has %d RUN", row.Name, len(runs))
		} else if got, err := script(runs[0]); err == nil && !slices.Equal(got, want) {
			complain("target %s runs %q, not %q", row.Name, got, want)
		}
		delete(targets, row.Name)
	}
	for name := range targets {
		complain("target %s is no agent", name)
	}
	for _, name := range scripts {
		if !run[name] {
			complain("nothing runs %s", name)
		}
	}
	return found
}

// script returns the script of image/ that a RUN runs, and its arguments.
func script(run instruction) ([]string, error) {
	if !slices.Contains(run.flags, "--mount=type=bind,source=image,target=/image") {
		return nil, fmt.Errorf("image/ is not mounted")
	}
	var argv []string
	if err := json.Unmarshal([]byte(run.rest), &argv); err != nil || len(argv) < 2 || argv[0] != "sh" || !scriptName.MatchString(argv[1]) {
		return nil, fmt.Errorf("%s is no script of image/", run.rest)
	}
	return append([]string{filepath.Base(argv[1])}, argv[2:]...), nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func scripts(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*.sh")
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	return names
}

func TestTheDockerfileKeepsTheRules(t *testing.T) {
	for _, complaint := range complaints(read(t, "../Dockerfile"), scripts(t)) {
		t.Error(complaint)
	}
}

// Each rule, broken once.
func TestTheRulesFindWhatTheyAreFor(t *testing.T) {
	good, names := read(t, "../Dockerfile"), scripts(t)
	for _, c := range []struct{ old, new, want string }{
		{"-slim@sha256:3783cc01769c7b2b1b83a5c5ad96c815348e28ed7da68e2e3687004faa906251", "-slim", "neither a stage nor an image"},
		{"debian:bookworm-20260918-slim", "debian:latest", "neither a stage nor an image"},
		{"FROM base AS grok", "FROM bse AS grok", "neither a stage nor an image"},
		{"FROM base AS grok", "FROM base AS hal", "no target for grok"},
		{"FROM base AS grok", "FROM base AS hal", "target hal is no agent"},
		{`"codex", "@openai/codex"`, `"codex", "@google/gemini-cli"`, "target codex runs"},
		{`"sh", "/image/users.sh"`, `"useradd", "agent"`, "is no script of image/"},
		{`["sh", "/image/users.sh"]`, `useradd agent`, "is no script of image/"},
		{`/image/users.sh`, `/image/user.sh`, "there is no user.sh"},
		{`/image/users.sh`, `/image/debian.sh`, "nothing runs users.sh"},
		{"source=image,target=/image [", "source=image,target=/other [", "image/ is not mounted"},
		{`COPY --from=go /usr`, `ADD --from=go /usr`, "ADD in base"},
		{`COPY --from=go /usr/local/go`, `COPY https://example.com/go.tar.gz`, "names a host"},
		{"USER 0:0", "USER agent", "base: USER is not 0:0"},
		{`["/usr/local/bin/worker"]`, `["/bin/sh"]`, "base: ENTRYPOINT is not"},
		{`VOLUME ["/work"]`, "", "base: VOLUME is not"},
		{"FROM base AS aider\n", "FROM base AS aider\nUSER 10001\n", "target aider has a USER of its own"},
		{"FROM base AS aider\n", "FROM base AS aider\nCMD [\"-h\"]\n", "CMD in aider"},
		{"ENV TMPDIR=/work HOME=/work", "ENV TMPDIR=/work", "ENV is not"},
		{"COPY --chmod=0755 worker", "COPY worker", "COPY is not"},
	} {
		broken := strings.Replace(good, c.old, c.new, 1)
		if broken == good {
			t.Errorf("the Dockerfile has no %q to break", c.old)
			continue
		}
		if found := complaints(broken, names); !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, c.want) }) {
			t.Errorf("%q for %q: want %q, found %q", c.new, c.old, c.want, found)
		}
	}
}

// The lock file says which Node the agents need.
func TestTheNodeIsNewEnoughForEachAgent(t *testing.T) {
	var major int
	for _, s := range parse(read(t, "../Dockerfile")) {
		if _, version, found := strings.Cut(s.from, "/node:"); found {
			if _, err := fmt.Sscanf(version, "%d.", &major); err != nil {
				t.Fatalf("%s: %v", s.from, err)
			}
		}
	}
	lock := readLock(t)
	for _, row := range fromNPM() {
		var needed int
		engines := lock.Packages["node_modules/"+row.Package].Engines.Node
		if _, err := fmt.Sscanf(engines, ">=%d", &needed); err != nil {
			t.Errorf("%s: engines %q: %v", row.Name, engines, err)
		}
		if major < needed {
			t.Errorf("%s needs Node %d, and the image has %d", row.Name, needed, major)
		}
	}
}

// The worker looks for its agents where the scripts put them.
func TestTheWorkerLooksWhereTheAgentsAre(t *testing.T) {
	const folder = "/opt/outpost/agents"
	if !strings.Contains(read(t, "../settings.go"), `defaultAgents = "`+folder+`"`) {
		t.Errorf("the worker's default is not %s", folder)
	}
	for _, name := range []string{"npm-agent.sh", "aider.sh"} {
		if !strings.Contains(read(t, name), "bin=${ROOT:-}"+folder+"\n") {
			t.Errorf("%s does not fill %s", name, folder)
		}
	}
}
