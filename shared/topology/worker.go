package topology

import "time"

// Worker is the container that runs one attempt. There is a task definition an
// agent, named TaskFamily(prefix, agent); each runs the same binary.
var Worker = struct {
	Package     string        // of its main function
	Container   string        // name of the container in the task definition
	StopTimeout time.Duration // between TERM and KILL
}{Package: "functions/worker", Container: "worker", StopTimeout: 30 * time.Second}

// TaskFamily is the family of an agent's task definition. The prefix tells
// deployments in one account apart.
func TaskFamily(prefix, agent string) string { return prefix + "-" + agent }

// EnvAgents is the worker's variable that names the folder of the agents'
// executables; its image sets it.
const EnvAgents = "OUTPOST_AGENTS_DIR"
