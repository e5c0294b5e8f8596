import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { getHeapSnapshot } from 'node:v8'
import { tokenFile } from '../../src/authn/token-file.ts'
import { memoryFiles, recordingLog } from '../reload/support.ts'

/** How often a text is in any string that is alive. */
async function timesInHeap(text: Buffer): Promise<number> {
  const chunks: Buffer[] = []
  for await (const chunk of getHeapSnapshot()) chunks.push(Buffer.from(chunk))
  const heap = Buffer.concat(chunks)
  let times = 0
  for (let at = heap.indexOf(text); at >= 0; at = heap.indexOf(text, at + 1)) times += 1
  return times
}

/** The letters of a fresh token, never as a string: a string of ours would be found as well. */
function freshToken(): Buffer {
  return randomBytes(24).map((byte) => 0x61 + (byte % 26)) as Buffer
}

test('T-W7 no token stays in memory as text, not even behind a name cut from its line', async () => {
  const token = freshToken()
  const row = Buffer.concat([
    token,
    Buffer.from(',a-user-name-cut-from-it,an-id-cut-from-it,"one-group,another-group"\n'),
  ])
  const files = memoryFiles()
  files.write('/tokens.csv', row)
  const authenticator = await tokenFile({ path: '/tokens.csv', log: recordingLog(), intervalMs: 0, reads: files })
  assert.equal(await timesInHeap(token), 0)
  assert.ok((await timesInHeap(Buffer.from('a-user-name-cut-from-it'))) > 0, 'the search finds what is alive')
  assert.ok(authenticator.status().ok)
})
