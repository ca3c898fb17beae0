#!/bin/sh
# Runs a command with a C compiler and Python's headers: with_compiler.sh COMMAND... On Debian, what was missing is
# installed for it, and removed afterwards.
set -eu
includes=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')
if command -v cc >/dev/null && [ -e "$includes/Python.h" ]; then
  exec "$@"
fi

packages() { dpkg-query --show --showformat='${db:Status-Status} ${binary:Package}\n' | sed -n 's/^installed //p' | sort; }
before=$(mktemp)
packages >"$before"

tidy() {
  status=$?
  # What came is what goes: not one package that was there.
  # shellcheck disable=SC2046  # one word each
  set -- $(packages | comm -13 "$before" -)
  rm -f "$before"
  [ $# -eq 0 ] || apt-get purge --quiet --quiet --yes "$@" >/dev/null
  exit "$status"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

export DEBIAN_FRONTEND=noninteractive
apt="apt-get --quiet --quiet --yes --option DPkg::Lock::Timeout=300"
$apt update
$apt install --no-install-recommends gcc libc6-dev python3-dev >/dev/null
"$@"
