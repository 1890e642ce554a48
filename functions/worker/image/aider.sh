#!/bin/sh
# Installs aider into a virtual environment of Python; pip checks every hash.
# LOCKS and ROOT are as in npm-agent.sh.
set -eu
locks=${LOCKS:-/agents}
dir=${ROOT:-}/opt/outpost/lib/aider
bin=${ROOT:-}/opt/outpost/agents

mkdir -p "$dir" "$bin"
python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
  --no-deps --require-hashes --only-binary=:all: -r "$locks/requirements.txt"

ln -s ../lib/aider/venv/bin/aider "$bin/aider"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
env -i PATH="$PATH" HOME="$scratch" TMPDIR="$scratch" "$bin/aider" --version
