// Helia as a peer that tests drive: a JSON object a line in, one a line out. It runs from the folder that helia.sh
// made (its packages are found from the current directory).
// usage: node helia.mjs        {"op":"listen"} {"op":"add","path":...,"v1":true} {"op":"folder","path":...}
//                              {"op":"dial","address":...} {"op":"get","cid":...} {"op":"list","cid":...}
import { createHash } from 'node:crypto'
import { createReadStream, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const require = createRequire(join(process.cwd(), 'package.json'))
// Its packages have no CommonJS face: the import condition is resolved by hand.
const load = async (name) => import(import.meta.resolve ? await resolve(name) : name)
async function resolve (name) {
  const parts = name.split('/')
  const count = name.startsWith('@') ? 2 : 1
  const folder = join(process.cwd(), 'node_modules', ...parts.slice(0, count))
  const { exports } = require(join(folder, 'package.json'))
  const entry = exports['.' + parts.slice(count).map((part) => '/' + part).join('')]
  return pathToFileURL(join(folder, entry.import ?? entry.default ?? entry)).href
}

const { createHeliaLight } = await load('helia')
const { withLibp2pLight } = await load('@helia/libp2p')
const { withBitswap } = await load('@helia/bitswap')
const { unixfs } = await load('@helia/unixfs')
const { tcp } = await load('@libp2p/tcp')
const { identify } = await load('@libp2p/identify')
const { ping } = await load('@libp2p/ping')
const { noise } = await load('@chainsafe/libp2p-noise')
const { yamux } = await load('@chainsafe/libp2p-yamux')
const { multiaddr } = await load('@multiformats/multiaddr')
const { CID } = await load('multiformats/cid')
const { fixedSize } = await load('ipfs-unixfs-importer/chunker')
const { balanced } = await load('ipfs-unixfs-importer/layout')

const helia = withBitswap(withLibp2pLight(createHeliaLight(), {
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), ping: ping() }
}))
await helia.start()
const files = unixfs(helia)
// Kubo's way of cutting files; Helia's own differs.
const kubo = {
  cidVersion: 0,
  rawLeaves: false,
  chunker: fixedSize({ chunkSize: 262_144 }),
  layout: balanced({ maxChildrenPerNode: 174 })
}
const patience = () => ({ signal: AbortSignal.timeout(60_000) })

const operations = {
  async listen () {
    return { addresses: helia.libp2p.getMultiaddrs().map(String) }
  },
  async dial ({ address }) {
    await helia.libp2p.dial(multiaddr(address), patience())
    return {}
  },
  async add ({ path, v1 }) {
    return { cid: (await files.addByteStream(createReadStream(path), v1 ? {} : kubo)).toString() }
  },
  async folder ({ path }) {
    const source = readdirSync(path).map((name) => ({ path: name, content: createReadStream(join(path, name)) }))
    let root
    for await (const entry of files.addAll(source, { ...kubo, wrapWithDirectory: true })) root = entry.cid
    return { cid: root.toString() }
  },
  async get ({ cid, path }) {
    const hash = createHash('sha256')
    const begun = Date.now()
    let bytes = 0
    for await (const piece of files.cat(CID.parse(cid), { path, ...patience() })) {
      hash.update(piece)
      bytes += piece.length
    }
    return { bytes, sha256: hash.digest('hex'), ms: Date.now() - begun }
  },
  async list ({ cid }) {
    const names = []
    for await (const entry of files.ls(CID.parse(cid), patience())) names.push(entry.name)
    return { names }
  }
}

const say = (words) => process.stdout.write(JSON.stringify(words) + '\n')
for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line)
  try {
    say(await operations[question.op](question))
  } catch (error) {
    say({ error: String(error) })
  }
}
await helia.stop()
