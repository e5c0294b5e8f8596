import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import type { CompileOptions } from '../../../src/authz/keystone-policy/index.ts'
import { fileSource } from '../../../src/authz/policy-store/file-source.ts'
import type { Reloading } from '../../../src/reload/reloading.ts'
import { type RecordingLog, recordingLog } from '../../reload/support.ts'
import { createFolder, type TestFolder } from '../../support/tls.ts'
import { allowed, example, rules, type TestStore, testStore, text } from './support.ts'

const VERBS = ['get', 'list', 'watch', 'delete'] as const

describe('a policy file', () => {
  let folder: TestFolder
  let files = 0
  before(async () => {
    folder = await createFolder()
  })
  after(() => folder.remove())

  interface Followed {
    readonly path: string
    readonly store: TestStore
    readonly source: Reloading<void>
    readonly log: RecordingLog
    write(content: string): Promise<unknown>
  }

  async function follow(content: string, compile: CompileOptions = {}): Promise<Followed> {
    const name = `policy-${files++}.json`
    const path = await folder.write(name, content)
    const store = testStore([path], { compile })
    const log = recordingLog()
    const source = await fileSource({ path, store, log, intervalMs: 0 })
    return { path, store, source, log, write: (next) => folder.write(name, next) }
  }

  test('is in force at start, and its status has the digest of the file', async () => {
    const content = text(rules('get'), example('get', 'allow'))
    const { store, source, path } = await follow(content)
    assert.equal(allowed(store, ...VERBS), 'get')
    assert.deepEqual(store.missing(), [])
    const { ok, digest, name } = source.status()
    assert.deepEqual([ok, digest, name], [true, createHash('sha256').update(content).digest('hex'), path])
  })

  test('may be YAML', async () => {
    const { store } = await follow(
      '- users: { roles: [member], projects: [demo] }\n  resource_permissions: { default/pods: [get] }\n',
    )
    assert.equal(allowed(store, ...VERBS), 'get')
  })

  for (const [name, content] of [
    ['broken', '{'],
    ['empty', ''],
    ['of a wrong type', '[{"users": []}]'],
    ['with a failing example', text(rules('get'), example('list', 'allow'))],
  ] as const) {
    test(`T-W13 that is ${name} at start is a mistake of the start`, async () => {
      await assert.rejects(follow(content), ({ code, message }) => {
        assert.equal(code, 'file_invalid')
        assert.ok(message.includes(`policy-${files - 1}.json`), message)
        return true
      })
    })
  }

  test('that is not there at start is a mistake of the start', async () => {
    const path = folder.path('none.json')
    const store = testStore([path])
    await assert.rejects(fileSource({ path, store, log: recordingLog(), intervalMs: 0 }), { code: 'file_invalid' })
    assert.deepEqual(store.missing(), [path])
  })

  test('T-W13 a broken change leaves the last good policy in force, and is said once; then it recovers', async () => {
    const { store, source, log, write } = await follow(text(rules('get')))
    const digest = store.digest()
    const broken: readonly [content: string, cause: RegExp][] = [
      ['[{"users": ["alice"]}]', /\[0\]\.users: expected/],
      ['{', /ends where/],
      [text(rules('list'), example('delete', 'allow')), /examples\[0\]: expects allow; of its requests 1 of 1/],
      ['[]', /takes every rule away/],
    ]
    for (const [content, cause] of broken) {
      await write(content)
      const said = log.lines.length
      assert.equal(await source.check(), 'failed')
      assert.equal(await source.check(), 'failed')
      assert.equal(allowed(store, ...VERBS), 'get')
      assert.equal(store.digest(), digest)
      const { ok, error = '' } = source.status()
      assert.equal(ok, false)
      assert.match(error, cause)
      assert.deepEqual(
        log.lines.slice(said).map(({ level, message }) => [level, message]),
        [['error', 'reload failed, the last good content stays in force']],
      )
    }
    await write(text(rules('list')))
    assert.equal(await source.check(), 'reloaded')
    assert.equal(allowed(store, ...VERBS), 'list')
    assert.equal(source.status().ok, true)
  })

  test('T-W13 a file that is gone leaves the last good policy in force: only a ConfigMap is deleted on purpose', async () => {
    const { store, source, path, write } = await follow(text(rules('get')))
    await rm(path)
    assert.equal(await source.check(), 'failed')
    assert.equal(allowed(store, ...VERBS), 'get')
    await write(text(rules('get')))
    assert.equal(await source.check(), 'unchanged')
  })

  test('that was refused for the sake of another source is taken when that one has changed', async () => {
    const [a, b] = ['pair-a.json', 'pair-b.json'] as const
    const paths = [
      await folder.write(a, text(rules('get'), example('list', 'no-opinion'))),
      await folder.write(b, text(rules('watch'))),
    ] as const
    const store = testStore(paths)
    const log = recordingLog()
    const first = await fileSource({ path: paths[0], store, log, intervalMs: 0 })
    const second = await fileSource({ path: paths[1], store, log, intervalMs: 0 })
    await folder.write(b, text(rules('list')))
    assert.equal(await second.check(), 'failed')
    assert.match(second.status().error ?? '', /pair-a\.json examples\[0\]/)
    await folder.write(a, text(rules('get')))
    assert.equal(await first.check(), 'reloaded')
    assert.equal(await second.check(), 'reloaded')
    assert.equal(allowed(store, ...VERBS), 'get list')
  })

  test('what goes on after its end is ignored, as the predecessor reads files', async () => {
    const { store } = await follow(`${text(rules('get'))} trailing`)
    assert.equal(allowed(store, ...VERBS), 'get')
  })

  test('that opens more than its author is likely to mean is taken, with a warning for each load', async () => {
    const { store, source, log, path, write } = await follow(text(rules('*')), { subresources: 'compat' })
    assert.equal(allowed(store, ...VERBS), VERBS.join(' ')) // and pods/exec, without a word of it
    const warnings = () => log.lines.filter(({ level }) => level === 'warn')
    assert.equal(warnings().length, 1)
    assert.match(warnings()[0]?.message ?? '', /archway policy check/)
    const fields = warnings()[0]?.fields as {
      readonly policy: string
      readonly count: number
      readonly findings: readonly object[]
    }
    assert.equal(fields.policy, path)
    assert.ok(fields.count > 0 && fields.findings.length === Math.min(fields.count, 20))
    await write(text([...rules('*'), ...rules('get')]))
    await source.check()
    assert.equal(warnings().length, 2)
  })

  test('of what it says, nothing is in the log', async () => {
    const canary = 'canary-5ca1ab1e'
    const user = { name: canary, roles: [canary], project: canary }
    const good = [
      { users: { roles: [canary], projects: [canary] }, resource_permissions: { 'default/pods': [canary] } },
    ]
    const { source, log, write } = await follow(text(good))
    for (const content of [
      `[{"users": {"roles": "${canary}"}, "resource_permissions": {"*/*": "${canary}"}}]`,
      `[{"users": "${canary}", "match": "${canary}"}]`,
      `{"policies": "${canary}", "examples": "${canary}"}`,
      `${canary}`,
      `"${canary}"`,
      `[ "${canary}" `,
      `[] ${canary}`,
      `a: *${canary}`,
      text(good, { name: canary, user, verb: 'get', resource: canary, namespace: canary, expect: 'allow' }),
      text(good, { name: canary, user, verb: 'get', path: `/${canary}`, expect: canary }),
      text(good, { name: canary, user, verb: { canary }, path: 5, expect: 'allow' }),
    ]) {
      await write(content)
      assert.equal(await source.check(), 'failed', content)
      assert.equal((source.status().error ?? '').includes(canary), false, source.status().error)
    }
    assert.ok(log.lines.length > 0)
    assert.equal(JSON.stringify(log.lines).includes(canary), false)
  })
})
