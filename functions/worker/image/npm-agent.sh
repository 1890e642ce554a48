#!/bin/sh
# npm-agent.sh AGENT PACKAGE: installs one agent's CLI out of the lock file that
# holds them all, and nothing of the others.
#
# LOCKS has the lock files, ROOT goes before /opt/outpost: both for a try
# outside of an image.
#
# "npm ci" refuses this lock file: some of the packages that grok declares for
# other platforms were never published. "npm install" takes versions and hashes
# from it all the same, but would fetch freely what the lock file lacks, so what
# it has installed is held against the lock file at the end.
set -eu
agent=$1
package=$2
locks=${LOCKS:-/agents}
dir=${ROOT:-}/opt/outpost/lib/$agent
bin=${ROOT:-}/opt/outpost/agents

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export TMPDIR="$scratch" # npm leaves a cache of compiled code in it
mkdir -p "$dir" "$bin"
cp "$locks/package-lock.json" "$dir/"

# A package.json with the one agent: npm drops the rest of the lock file.
node - "$locks/package.json" "$package" "$dir/package.json" <<'JS'
const fs = require('fs')
const [from, name, to] = process.argv.slice(2)
const version = JSON.parse(fs.readFileSync(from)).dependencies[name]
if (!version) throw new Error(`${from} does not name ${name}`)
fs.writeFileSync(to, JSON.stringify({ private: true, dependencies: { [name]: version } }))
JS

# Only the agent's own install script runs: claude is a stub without its, and
# grok unpacks itself in its own. What others build is optional and unpinned.
# grok's puts a second copy into GROK_HOME.
cd "$dir"
npm install --ignore-scripts --no-save --no-audit --no-fund --no-update-notifier --loglevel=error
GROK_HOME=$scratch/grok npm rebuild --foreground-scripts=false --loglevel=error "$package"
rm -f node_modules/@xai-official/grok-*/bin/*.br

node - "$locks/package-lock.json" node_modules/.package-lock.json <<'JS'
const fs = require('fs')
const [lock, installed] = process.argv.slice(2).map(path => JSON.parse(fs.readFileSync(path)).packages)
for (const [path, { version, integrity }] of Object.entries(installed)) {
  if (!integrity || lock[path]?.version !== version || lock[path]?.integrity !== integrity) {
    throw new Error(`${path} ${version} is not what the lock file pins`)
  }
}
JS
rm package.json package-lock.json

ln -s "../lib/$agent/node_modules/.bin/$agent" "$bin/$agent"
env -i PATH="$PATH" HOME="$scratch" TMPDIR="$scratch" "$bin/$agent" --version
