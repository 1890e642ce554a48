#!/bin/sh
# Takes out of Go's folder what building and testing never read: Go's own test
# suite and the lists of its API.
set -eu
go=${ROOT:-}/usr/local/go
rm -rf "$go/test" "$go/api" "$go/doc" "$go/misc"
"$go/bin/go" version
