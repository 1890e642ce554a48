package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"outpost/shared/agent"
)

// A docker and an AWS CLI that write down how they are called stand on the PATH;
// claude's image is there already.
const spy = `#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
"sts get-caller-identity"*) echo 123456789012 ;;
*get-login-password*) echo password ;;
*describe-images*worker-claude*) ;;
*describe-images*) exit 255 ;;
login*) cat >/dev/null ;;
esac
`

func TestImagesAreBuiltForEveryAgentAndPushedOnce(t *testing.T) {
	bin, built := t.TempDir(), t.TempDir()
	for _, tool := range []string{"docker", "aws"} {
		if err := os.WriteFile(filepath.Join(bin, tool), []byte(spy), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dockerfile, err := os.ReadFile(filepath.Join(root, "functions/worker/Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(built, "worker"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"worker/Dockerfile": string(dockerfile), "worker.tag": "0123456789abcdef\n"} {
		if err := os.WriteFile(filepath.Join(built, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	calls := filepath.Join(t.TempDir(), "calls")
	cmd := exec.CommandContext(t.Context(), "./images.sh", "dev", built)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CALLS="+calls, "AWS_REGION=eu-central-1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	raw, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range agent.Names() {
		image := "123456789012.dkr.ecr.eu-central-1.amazonaws.com/outpost-dev-worker-" + name + ":0123456789abcdef"
		want := 1
		if name == "claude" {
			want = 0
		}
		build := "docker build --platform linux/amd64 --target " + name + " --tag " + image
		if strings.Count(string(raw), build) != want || strings.Count(string(raw), "docker push "+image) != want {
			t.Errorf("%s: built and pushed other than %d times:\n%s", name, want, raw)
		}
	}
	// The task definitions name the same images.
	for _, d := range clouds["dev"].all("AWS::ECS::TaskDefinition") {
		for _, k := range list(d.get("ContainerDefinitions")) {
			if image := clouds["dev"].text(d.stack, dig(k, "Image")); !strings.HasSuffix(image, ":0123456789abcdef") {
				t.Errorf("%s runs %s", d, image)
			}
		}
	}
}

func TestImagesWithoutDockerIsOneSentence(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bash, "images.sh", "dev", t.TempDir())
	cmd.Env = []string{"PATH=" + t.TempDir()}
	if out, err := cmd.CombinedOutput(); err == nil || string(out) != "docker is not on the PATH; images are built with docker and pushed with the AWS CLI.\n" {
		t.Errorf("%v: %s", err, out)
	}
}
