#!/bin/sh
# The users of an agent and of verification. Neither can log in: no password, no
# shell. The supervisor is root and hands them folders of the work volume.
set -eu
root=${ROOT:-}
add() { # name, id
  printf '%s:*:%s:%s::/nonexistent:/usr/sbin/nologin\n' "$1" "$2" "$2" >>"$root/etc/passwd"
  printf '%s:*:%s:\n' "$1" "$2" >>"$root/etc/group"
}
add agent 10001
add verify 10002

# They pass through the work volume's root and cannot list it.
mkdir -p "$root/work"
chmod 0711 "$root/work"

# No program gives them another user's rights.
find "${root:-/}" -xdev -type f -perm /6000 -exec chmod a-s {} +
