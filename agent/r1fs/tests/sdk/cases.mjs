// The R1FS calls of the published TypeScript SDK, one line per case: "ok NAME" or "FAILED NAME: why".
// usage: node cases.mjs FOLDER_OF_THE_INSTALLATION URL_OF_R1FS FOLDER_FOR_FILES
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [home, url, folder] = process.argv.slice(2);
// The package's ES modules do not load in plain Node, so it is required as most programs do.
const { EdgeSdk } = createRequire(join(home, 'package.json'))('@ratio1/edge-sdk-ts');
const { r1fs } = new EdgeSdk({ r1fsUrl: url, chainstorePeers: [] });

// All cases together fit into the store of the test, 1 MiB.
const content = Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * 31) % 251));
const data = { name: 'test', value: 123, nested: { key: 'bună', list: [1, 2.5, null] } };
const unknown = 'QmdNA9YKmvvQk7JacJYAxnVEVz2bSXUijnMqpna31FZXPG';
const bytes = async (answer) => Buffer.from(await answer.arrayBuffer());
const status = (number) => (error) => error.response.status === number;

// A file on disk without reading it; Node before 19.8 has to read it.
const blob = async (path) =>
  fs.openAsBlob ? fs.openAsBlob(path) : new Blob([fs.readFileSync(path)]);

const cases = {
  async getStatus() {
    const full = await r1fs.getStatusFull();
    assert.equal(full.result.ID, '16Uiu2');
    assert.equal(full.ee_node_alias, 'node');
    assert.deepEqual(await r1fs.getStatus(), full.result);
  },
  async addFileFromBuffer() {
    const { cid } = await r1fs.addFile({ file: content, filename: 'a.bin', secret: 's', nonce: 3 });
    const answer = await r1fs.getFile({ cid, secret: 's' });
    assert.deepEqual(await bytes(answer), content);
  },
  async addFileFromPath() {
    const path = join(folder, 'b.bin');
    // More than one block.
    const large = Buffer.concat([content, content, content]);
    fs.writeFileSync(path, large);
    const { cid } = await r1fs.addFile({ file: await blob(path), filename: 'b.bin' });
    assert.deepEqual(await bytes(await r1fs.getFile({ cid })), large);
  },
  async getFile() {
    const { cid } = await r1fs.addFile({ file: Buffer.from('hello'), filename: 'h.txt' });
    const answer = await r1fs.getFile({ cid });
    assert.equal(JSON.parse(answer.headers.get('x-meta')).filename, 'h.txt');
    assert.equal((await bytes(answer)).toString(), 'hello');
  },
  async addFileBase64() {
    const file_base64_str = content.toString('base64');
    const { cid } = await r1fs.addFileBase64({ file_base64_str, filename: 'c.bin', secret: 's' });
    assert.deepEqual(await bytes(await r1fs.getFile({ cid, secret: 's' })), content);
  },
  async getFileBase64() {
    const { cid } = await r1fs.addFile({ file: content, filename: 'd.bin', secret: 's' });
    const found = await r1fs.getFileBase64({ cid, secret: 's' });
    assert.deepEqual(Buffer.from(found.file_base64_str, 'base64'), content);
    assert.equal(found.filename, 'd.bin');
  },
  async addYaml() {
    assert.match((await r1fs.addYaml({ data, fn: 'e.yaml' })).cid, /^Qm.{44}$/);
  },
  async getYaml() {
    const { cid } = await r1fs.addYaml({ data, fn: 'f.yaml', secret: 's' });
    assert.deepEqual((await r1fs.getYaml({ cid, secret: 's' })).file_data, data);
  },
  async addJson() {
    const { cid } = await r1fs.addJson({ data, fn: 'g.json' });
    assert.deepEqual(JSON.parse((await bytes(await r1fs.getFile({ cid }))).toString()), data);
  },
  async addPickle() {
    const { cid } = await r1fs.addPickle({ data, fn: 'h.pkl' });
    // A pickle of any protocol that is in use begins with PROTO and ends with STOP.
    const pickle = await bytes(await r1fs.getFile({ cid }));
    assert.deepEqual([pickle[0], pickle.at(-1)], [0x80, 0x2e]);
  },
  async calculateJsonCid() {
    const request = { data, fn: 'i.json', secret: 's', nonce: 5 };
    assert.equal((await r1fs.calculateJsonCid(request)).cid, (await r1fs.addJson(request)).cid);
  },
  async calculatePickleCid() {
    const request = { data, fn: 'j.pkl', secret: 's', nonce: 5 };
    assert.equal((await r1fs.calculatePickleCid(request)).cid, (await r1fs.addPickle(request)).cid);
  },
  async deleteFile() {
    const { cid } = await r1fs.addJson({ data: { only: 'deleted' } });
    const answer = await r1fs.deleteFile({ cid, run_gc: true, cleanup_local_files: true });
    assert.deepEqual([answer.success, answer.cid], [true, cid]);
    await assert.rejects(r1fs.getFile({ cid }), status(404));
  },
  async deleteFiles() {
    const { cid } = await r1fs.addJson({ data: { only: 'deleted with others' } });
    const answer = await r1fs.deleteFiles({ cids: [cid, 'nonsense'] });
    assert.deepEqual(
      [answer.total, answer.success_count, answer.failed_count, answer.success, answer.failed],
      [2, 1, 1, [cid], ['nonsense']],
    );
    await assert.rejects(r1fs.getFile({ cid }), status(404));
  },
  async unknownCid() {
    await assert.rejects(r1fs.getFile({ cid: unknown }), status(404));
    const found = await r1fs.getFileBase64({ cid: unknown });
    assert.equal(found.file_base64_str, null);
    assert.match(found.error, new RegExp(unknown));
  },
  async wrongSecret() {
    const { cid } = await r1fs.addJson({ data, secret: 'right' });
    await assert.rejects(r1fs.getFile({ cid, secret: 'wrong' }), status(500));
    await assert.rejects(r1fs.getFile({ cid }), status(500));
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${String(error).replaceAll('\n', ' ')}`);
  }
}
