// Helia with its blocks on disk, for figures beside ours: a JSON object a line in, one a line out.
// usage: node helia_bench.mjs STORE        (from a folder whose node_modules is that of tests/peers/helia.sh)
//   {"op":"listen"}                          -> {"address"}
//   {"op":"add","path"}                      -> {"cid","wall_s","cpu_s"}    CIDv0, leaves of 256 KiB
//   {"op":"small","count","concurrent"}      -> {"wall_s","cpu_s"}          contents of 4 KiB, all different
//   {"op":"fetch","address","cid"}           -> {"bytes","wall_s","cpu_s"}  into its store
//   what goes wrong                          -> {"error"}
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { FsBlockstore } from 'blockstore-fs'
import { createHeliaLight } from 'helia'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { CID } from 'multiformats/cid'

const SMALL = 4096
const patience = () => ({ signal: AbortSignal.timeout(600_000) })
// What Kubo's `ipfs add` does by default.
const kubo = {
  cidVersion: 0,
  rawLeaves: false,
  chunker: fixedSize({ chunkSize: 256 << 10 }),
  layout: balanced({ maxChildrenPerNode: 174 })
}

const blockstore = new FsBlockstore(process.argv[2])
await blockstore.open()
const helia = withBitswap(withLibp2pLight(createHeliaLight({ blockstore }), {
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), ping: ping() }
}))
await helia.start()
const files = unixfs(helia)

async function timed (work) {
  const [start, used] = [performance.now(), process.cpuUsage()]
  const result = await work()
  const { user, system } = process.cpuUsage(used)
  return { ...result, wall_s: (performance.now() - start) / 1e3, cpu_s: (user + system) / 1e6 }
}

const operations = {
  async listen () {
    return { address: String(helia.libp2p.getMultiaddrs()[0]) }
  },
  async add ({ path }) {
    return timed(async () => ({ cid: String(await files.addByteStream(createReadStream(path), kubo)) }))
  },
  async small ({ count, concurrent }) {
    let next = 0
    const worker = async () => {
      while (next < count) {
        const content = new Uint8Array(SMALL)
        new DataView(content.buffer).setUint32(0, ++next)
        await files.addBytes(content, kubo)
      }
    }
    return timed(() => Promise.all(Array.from({ length: concurrent }, worker)).then(() => ({ count })))
  },
  async fetch ({ address, cid }) {
    return timed(async () => {
      await helia.libp2p.dial(multiaddr(address), patience())
      let bytes = 0
      for await (const piece of files.cat(CID.parse(cid), patience())) bytes += piece.length
      return { bytes }
    })
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    const question = JSON.parse(line)
    answer = await operations[question.op](question)
  } catch (error) {
    answer = { error: String(error?.stack ?? error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
await helia.stop()
await blockstore.close()
