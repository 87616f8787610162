#!/usr/bin/env bash
# Installs the published Ratio1 Python package as a test peer and prints the path of its interpreter.
# Idempotent: a finished environment is reused, an unfinished one is never visible under its final name.
# usage: tests/peers/ratio1.sh        (environment: XDG_CACHE_HOME, R1_PYTHON)
set -euo pipefail

version=3.5.60
cache="${XDG_CACHE_HOME:-$HOME/.cache}/r1-agent"
home="$cache/ratio1-$version"
python="${R1_PYTHON:-python3}"

mkdir -p "$cache"
exec 9>"$cache/ratio1-$version.lock"
flock 9

if [ ! -e "$home/.complete" ]; then
  rm -rf "$home"
  # A virtual environment knows its own path, so it is built in place and marked when it is whole.
  "$python" -m venv "$home" 1>&2
  "$home/bin/pip" install --quiet --disable-pip-version-check "ratio1==$version" 1>&2
  EE_EVM_NET=devnet "$home/bin/python" -c 'from ratio1.bc import DefaultBlockEngine' 1>&2
  touch "$home/.complete"
fi
echo "$home/bin/python"
