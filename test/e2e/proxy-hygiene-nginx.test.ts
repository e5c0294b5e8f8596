import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { type Recorder, startRecorder } from '../../tools/hygiene/recorder.ts'
import { rendered } from '../../tools/hygiene/report.ts'
import { type CaseResult, runHygiene } from '../../tools/hygiene/run.ts'
import { type NginxRig, startNginx } from '../rigs/nginx.ts'

/** The corpus against nginx with the usual recipe: what the page says of it is so. */
describe('nginx under hostile requests', () => {
  let nginx: NginxRig
  let recorder: Recorder
  let results: readonly CaseResult[]

  before(async () => {
    nginx = await startNginx()
    recorder = await startRecorder({ ...nginx.upstream, clientCA: nginx.ca, host: '127.0.0.1', port: nginx.behind })
    const { username, password } = nginx.account
    results = await runHygiene({
      target: { host: '127.0.0.1', port: nginx.port, ca: nginx.ca, timeoutMs: 60_000 },
      authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
      user: username,
    })
  })
  after(async () => {
    await recorder?.close()
    await nginx?.[Symbol.asyncDispose]()
  })

  test('comes to what docs/hygiene.md says, of this version', async () => {
    const page = await readFile(new URL('../../docs/hygiene.md', import.meta.url), 'utf8')
    const [, table] = /<!-- nginx -->\n(.*?)<!-- end -->/s.exec(page) ?? []
    assert.equal(table, rendered(results, 'markdown', nginx.version), 'put the second text into docs/hygiene.md')
  })

  test('T-H2 T-H6 fails where the recipe forgets a header, so that the corpus is seen to bite', () => {
    const failed = new Set(results.filter(({ held }) => !held).map(({ id }) => id))
    for (const id of ['h2-x-remote-uid', 'h2-x-remote-extra-scopes', 'h6-impersonate-user', 'h12-authorization']) {
      assert.ok(failed.has(id), id)
    }
    assert.ok(!failed.has('h1-known-user'))
  })
})
