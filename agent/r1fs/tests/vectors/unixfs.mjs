// Writes unixfs.json: names that Helia's UnixFS gives to pseudo-random files and to folders, by size and profile.
// usage: node unixfs.mjs > unixfs.json    (npm: ipfs-unixfs-importer, ipfs-unixfs, blockstore-core)
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { MemoryBlockstore } from 'blockstore-core'

// 32-bit words of xorshift32, little-endian.
function random (seed, length) {
  const out = new Uint8Array(length)
  const view = new DataView(out.buffer)
  let x = seed >>> 0
  for (let at = 0; at < length; at += 4) {
    x ^= x << 13; x >>>= 0; x ^= x >>> 17; x ^= x << 5; x >>>= 0
    if (at + 4 <= length) view.setUint32(at, x, true)
    else for (let i = 0; at + i < length; i++) out[at + i] = (x >>> (8 * i)) & 255
  }
  return out
}

const profiles = {
  kubo: { cidVersion: 0, rawLeaves: false, chunker: fixedSize({ chunkSize: 262144 }), layout: balanced({ maxChildrenPerNode: 174 }) },
  v1_2025: { cidVersion: 1, rawLeaves: true, chunker: fixedSize({ chunkSize: 1048576 }), layout: balanced({ maxChildrenPerNode: 1024 }) }
}
const common = { reduceSingleLeafToSelf: true, wrapWithDirectory: false, shardSplitThresholdBytes: 262144, shardFanoutBits: 8 }

async function last (source, options) {
  let found
  for await (const entry of importer(source, new MemoryBlockstore(), { ...common, ...options })) found = entry
  return found.cid.toString()
}

const files = []
const lengths = [0, 1, 262143, 262144, 262145, 1048576, 1048577, 174 * 262144, 174 * 262144 + 1, 50 << 20]
for (const [profile, options] of Object.entries(profiles)) {
  for (const length of lengths) {
    const seed = 1 + length % 1000
    files.push({ profile, seed, length, cid: await last([{ content: random(seed, length) }], options) })
  }
}
const folders = []
for (const [profile, options] of Object.entries(profiles)) {
  for (const count of [1, 5, 3000, 9000]) {
    const source = Array.from({ length: count }, (_, n) => ({ path: `folder/a/file-${n}.txt`, content: random(n + 1, n % 7) }))
    folders.push({ profile, count, cid: await last(source, { ...options, wrapWithDirectory: false }) })
  }
}
console.log(JSON.stringify({ files, folders }, null, 1))
