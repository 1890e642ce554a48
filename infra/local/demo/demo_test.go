package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestTheRealProvidersNeedAKeyOfTheirs(t *testing.T) {
	for _, c := range []struct {
		why  string
		live bool
		set  string // name of the variable that is set
		want string // agents, or a part of the error
	}{
		{"scripted, all of npm's take part", false, "", "claude codex gemini grok"},
		{"scripted, keys do not matter", false, "XAI_API_KEY", "claude codex gemini grok"},
		{"live, only those whose key is there", true, "GEMINI_API_KEY", "gemini"},
		{"live, a key of no npm agent", true, "DEEPSEEK_API_KEY", "ANTHROPIC_API_KEY, GEMINI_API_KEY, OPENAI_API_KEY, XAI_API_KEY"},
		{"live, no key", true, "", "LIVE=1 needs a provider's key"},
	} {
		d := demo{live: c.live, getenv: func(name string) string {
			if name == c.set {
				return "k"
			}
			return ""
		}}
		names, err := d.agents()
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if (err == nil && got != c.want) || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s", c.why, got)
		}
	}
}

func TestWhatIsShownAsACommandIsOne(t *testing.T) {
	args := []string{"plain", "two words", "it's", `"quoted"`, "$HOME", "a;b", "(x)"}
	out, err := exec.Command("sh", "-c", `show() { printf '%s\n' "$@"; }; show `+quoted(args)).Output()
	if err != nil || string(out) != strings.Join(args, "\n")+"\n" {
		t.Errorf("a shell reads %q, %v", out, err)
	}
}

func TestOfATestTheVerdictsAreShown(t *testing.T) {
	for _, c := range []struct{ why, output, want string }{
		{"TAP", "TAP version 13\nnot ok 1 - a\n  ---\n  stack\nok 2 - b\n# fail 1\n", "not ok 1 - a\nok 2 - b\n# fail 1"},
		{"Node's other form", "✖ a (1ms)\n  boom\nℹ fail 1\n✖ a (1ms)\n", "✖ a (1ms)\nℹ fail 1"},
		{"anything else whole", "boom\n", "boom\n"},
	} {
		if got := verdicts(c.output); got != c.want {
			t.Errorf("%s: got %q", c.why, got)
		}
	}
}

func TestDescendantsAreFoundThroughTheirParents(t *testing.T) {
	cmd := exec.Command("sh", "-c", `exec 3<&0; sh -c 'echo $$; read line <&3; true' & echo $$; read line; wait`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	want := map[int]bool{}
	for len(want) < 2 && lines.Scan() {
		var pid int
		if _, err := fmt.Sscan(lines.Text(), &pid); err != nil {
			t.Fatal(err)
		}
		want[pid] = true
	}
	got := descendants(os.Getpid())
	for pid := range want {
		if got[pid] != "sh" {
			t.Errorf("%d is not among %v", pid, got)
		}
	}
	if slices.Contains(slices.Collect(maps.Keys(got)), os.Getpid()) {
		t.Error("a process is below itself")
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for pid := range want {
		if _, there := descendants(os.Getpid())[pid]; there {
			t.Errorf("%d has ended and is still found", pid)
		}
	}
}
