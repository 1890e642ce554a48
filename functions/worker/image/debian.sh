#!/bin/sh
# Installs Debian's packages: what git clones, common builds and aider need, and
# nothing that they only recommend. Their versions are the mirror's of the day;
# dpkg's own list in the image tells which they were.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends \
  build-essential ca-certificates git python3 python3-venv
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log
