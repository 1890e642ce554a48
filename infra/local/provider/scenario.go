package provider

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"outpost/infra/local/demorepo"
	"outpost/shared/agent"
)

// The scenarios.
const (
	FixBug      = "fix-bug"      // does what the prompt asks, as far as it is known
	WrongFix    = "wrong-fix"    // changes the file and leaves the bug
	NoChange    = "no-change"    // says that all is well
	Error401    = "error-401"    // refuses the key
	Error429    = "error-429"    // is at its rate limit
	Error500    = "error-500"    // fails
	Hang        = "hang"         // never answers
	EndlessLoop = "endless-loop" // asks for one more command, for ever
	CutStream   = "cut-stream"   // breaks the connection in the middle of each answer
	WriteSecret = "write-secret" // copies keys that the agent can see into a file
	PrintEnv    = "print-env"    // prints the environment of the agent's commands
)

// scenario is what happens to each request, or the steps of the answers.
type scenario struct {
	status int  // of an error, in place of any answer
	hang   bool // never answer
	cut    bool // break the answer off
	steps  func(c *conversation) []step
	loop   bool // begin again after the last step
}

// step is one answer of a conversation: something said, and at most one of the
// tools used.
type step struct {
	say   string
	read  string // path of a file
	run   string // shell command
	edits []demorepo.File
}

var scenarios = map[string]scenario{
	FixBug:      {steps: fix},
	WrongFix:    {steps: wrongFix},
	NoChange:    {steps: func(*conversation) []step { return []step{{say: "I looked, and there is nothing to change."}} }},
	Error401:    {status: http.StatusUnauthorized},
	Error429:    {status: http.StatusTooManyRequests},
	Error500:    {status: http.StatusInternalServerError},
	Hang:        {hang: true},
	EndlessLoop: {steps: func(*conversation) []step { return []step{{say: "Once more.", run: "true"}} }, loop: true},
	CutStream:   {steps: fix, cut: true},
	WriteSecret: {steps: func(*conversation) []step {
		return []step{
			{say: "I write down the keys that I see.", run: "{ env | grep -i key; cat .planted-key; } >> leaked.txt 2>/dev/null; true"},
			{say: "They are in leaked.txt."},
		}
	}},
	PrintEnv: {steps: func(*conversation) []step {
		return []step{{say: "I look at my environment.", run: "env"}, {say: "That was my environment."}}
	}},
}

// Scenarios lists their names.
func Scenarios() []string {
	return []string{FixBug, WrongFix, NoChange, Error401, Error429, Error500, Hang, EndlessLoop, CutStream, WriteSecret, PrintEnv}
}

// conversation is what a request says, whatever its API.
type conversation struct {
	agent  string
	model  string
	stream bool
	user   string   // all that the user's side said, tool results apart
	dir    string   // the agent's working folder, as it tells; empty if it does not
	turns  int      // answers given so far that used a tool
	tools  []string // names of the tools that may be used
}

var (
	scenarioMark = regexp.MustCompile(`\[scenario(?: ([a-z]+))?: ([a-z0-9-]+)\]`)
	writeBlock   = regexp.MustCompile(`(?s)\[write path=([^\]\n]+)\](.*?)\[/write\]`)
)

// scenario returns the name of the scenario that the prompt chooses: the one
// for this agent, else the one for all. A name that is not known counts as none.
func (c *conversation) scenario() string {
	chosen, forAll := "", FixBug
	for _, m := range scenarioMark.FindAllStringSubmatch(c.user, -1) {
		if _, known := scenarios[m[2]]; !known {
			continue
		}
		switch m[1] {
		case "":
			forAll = m[2]
		case c.agent:
			chosen = m[2]
		}
	}
	if chosen != "" {
		return chosen
	}
	return forAll
}

// fix solves the demonstration's task, writes what the prompt dictates, or
// leaves a note.
func fix(c *conversation) []step {
	var edits []demorepo.File
	for _, m := range writeBlock.FindAllStringSubmatch(c.user, -1) {
		edits = append(edits, demorepo.File{Path: m[1], After: strings.TrimPrefix(m[2], "\n")})
	}
	switch {
	case len(edits) > 0:
		return append(write(edits), step{say: "I wrote what was asked."})
	case strings.Contains(c.user, demorepo.Subject):
		steps := []step{{say: "I read the code first.", read: demorepo.Subject}}
		steps = append(steps, write(demorepo.Fix(c.agent))...)
		return append(steps,
			step{say: "I run the tests.", run: demorepo.Verify},
			step{say: "The last page was not counted because the division was rounded down. It is fixed."})
	default:
		note := fmt.Sprintf("The scripted provider answered %s. It cannot think, so it left this note.\n", c.agent)
		return append(write([]demorepo.File{{Path: "note-from-" + c.agent + ".md", After: note}}), step{say: "I left a note."})
	}
}

func wrongFix(c *conversation) []step {
	if !strings.Contains(c.user, demorepo.Subject) {
		return fix(c)
	}
	steps := append([]step{{say: "I read the code first.", read: demorepo.Subject}}, write(demorepo.Fix(demorepo.Wrong))...)
	return append(steps, step{say: "It is fixed."})
}

// write makes one step an edit; a file that may exist is read before, since
// some CLIs refuse to write what was not read.
func write(edits []demorepo.File) []step {
	var steps []step
	for _, e := range edits {
		if e.Path != demorepo.Subject {
			steps = append(steps, step{say: "I look at " + e.Path + ".", read: e.Path})
		}
		steps = append(steps, step{say: "I write " + e.Path + ".", edits: []demorepo.File{e}})
	}
	return steps
}

// next returns the answer that follows the turns so far.
func (c *conversation) next(s scenario) answer {
	steps := s.steps(c)
	if len(c.tools) == 0 {
		return c.price(answer{text: inText(steps)})
	}
	at := c.turns
	if s.loop {
		at %= len(steps)
	}
	chosen := steps[min(at, len(steps)-1)]
	return c.price(answer{text: chosen.say, call: c.call(chosen)})
}

// inText says all steps at once, to an agent that has no tools and takes edits
// out of the text (aider).
func inText(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		for _, e := range s.edits {
			fmt.Fprintf(&b, "\n%s\n```\n<<<<<<< SEARCH\n%s=======\n%s>>>>>>> REPLACE\n```\n\n", e.Path, e.Before, e.After)
		}
	}
	b.WriteString(steps[len(steps)-1].say)
	return b.String()
}

// modelNames lists the agents' default models; grok refuses one that is not
// listed.
func modelNames() []string {
	var names []string
	for _, a := range agent.All() {
		names = append(names, a.DefaultModel)
	}
	return names
}
