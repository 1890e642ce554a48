#!/bin/sh
# Links npm and npx, whose links COPY would have followed.
set -eu
bin=${ROOT:-}/usr/local/bin
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$bin/npx"
PATH=$bin:$PATH NODE_DISABLE_COMPILE_CACHE=1 "$bin/npm" --version
