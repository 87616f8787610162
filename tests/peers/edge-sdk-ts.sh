#!/usr/bin/env bash
# Installs the published TypeScript SDK of Ratio1 as a test peer and prints its folder.
# Idempotent: an installation counts only once it is marked as whole.
# usage: tests/peers/edge-sdk-ts.sh        (environment: XDG_CACHE_HOME, R1_REQUIRE_ALL)
set -euo pipefail

version=1.5.2
cache="${XDG_CACHE_HOME:-$HOME/.cache}/r1-agent"
home="$cache/edge-sdk-ts-$version"

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
  echo "SKIP edge-sdk-ts: node or npm is not there" >&2
  [ -z "${R1_REQUIRE_ALL:-}" ]
  exit
fi

mkdir -p "$cache"
exec 9>"$cache/edge-sdk-ts-$version.lock"
flock 9

if [ ! -e "$home/.complete" ]; then
  rm -rf "$home"
  mkdir "$home"
  echo '{"private": true}' >"$home/package.json"
  npm install --prefix "$home" --ignore-scripts --no-audit --no-fund "@ratio1/edge-sdk-ts@$version" 1>&2
  # form-data is optional to the SDK. Where it is found the SDK sends with node-fetch instead of Node's own fetch,
  # which turns a native FormData into the text "[object FormData]"; without it both are Node's own and fit.
  rm -rf "$home/node_modules/form-data"
  touch "$home/.complete"
fi
echo "$home"
