package main

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"outpost/infra/local/agents"
	"outpost/infra/local/engines"
	"outpost/infra/local/install"
	"outpost/infra/local/stack"
	"outpost/shared/agent"
)

// agents are those that take part: all that npm installs, or, with real
// providers, those of them whose key is in the environment.
func (d *demo) agents() ([]string, error) {
	names := agents.FromNPM()
	if !d.live {
		return names, nil
	}
	keys := stack.Secrets(true, d.getenv)
	wanted := map[string]bool{}
	names = slices.DeleteFunc(names, func(name string) bool {
		a, _ := agent.Lookup(name)
		p, err := a.Provider(a.DefaultModel)
		wanted[p.Secret] = true
		return err != nil || keys[p.Secret] == ""
	})
	if len(names) == 0 {
		var list []string
		for secret := range wanted {
			list = append(list, secret)
		}
		slices.Sort(list)
		return nil, fmt.Errorf("LIVE=1 needs a provider's key in the environment (%s)", strings.Join(list, ", "))
	}
	return names, nil
}

// announce says how much will be fetched, and refuses where a tool is missing
// that everything after needs.
func (d *demo) announce() error {
	for tool, what := range map[string]string{"git": "to clone repositories", "node": "version 20 or newer, to run the agents"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not on the PATH (%s)", tool, what)
		}
	}
	megabytes := 0
	var missing []string
	for _, l := range []install.Lock{engines.Lock(), agents.Lock()} {
		_, installed, err := l.Dir()
		if err != nil {
			return err
		}
		if !installed {
			megabytes += l.Megabytes
			missing = append(missing, "the "+l.Name)
		}
	}
	if len(missing) == 0 {
		d.say("Nothing to fetch: engines and agents are installed.")
		return nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return errors.New("npm is not on the PATH (it comes with Node, to install the agents)")
	}
	cache, err := install.Cache()
	if err != nil {
		return err
	}
	d.say("To fetch, once: about %d MB (%s), into %s.", megabytes, strings.Join(missing, " and "), cache)
	return nil
}
