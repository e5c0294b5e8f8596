import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { headerReader, requestHeader } from '../../../src/authn/request/request-header.ts'
import { callContext } from '../../support/context.ts'

const Vector = z.object({
  name: z.string(),
  kind: z.literal('decode'),
  config: z.object({
    usernameHeaders: z.array(z.string()),
    groupHeaders: z.array(z.string()),
    extraHeaderPrefixes: z.array(z.string()),
    uidHeaders: z.array(z.string()),
  }),
  headers: z.array(z.tuple([z.string(), z.string()])),
  expect: z.object({
    configError: z.boolean().optional(),
    authenticated: z.boolean().optional(),
    user: z
      .object({
        name: z.string(),
        uid: z.string(),
        groups: z.array(z.string()),
        extra: z.record(z.string(), z.array(z.string())).optional(),
      })
      .optional(),
  }),
})

/** As `node:http` hands it over. */
const wire = (text: string): string => Buffer.from(text).toString('latin1')

describe('the headers as kube-apiserver reads them', () => {
  const { vectors } = z
    .object({ vectors: z.array(z.object({ kind: z.string() }).loose()) })
    .parse(JSON.parse(readFileSync(new URL('../../vectors/requestheader-vectors.json', import.meta.url), 'utf8')))
  const decoded = vectors.filter(({ kind }) => kind === 'decode').map((vector) => Vector.parse(vector))
  test('are all there', () => assert.equal(decoded.length, 38))

  for (const { name, config, headers, expect } of decoded.filter(({ expect }) => expect.configError !== true)) {
    test(name, () => {
      const read = headerReader({
        username: config.usernameHeaders,
        uid: config.uidHeaders,
        group: config.groupHeaders,
        extraPrefix: config.extraHeaderPrefixes,
      })
      const user = read(headers.map(([header, value]) => [header, wire(value)]))
      assert.equal(user !== undefined, expect.authenticated)
      if (user === undefined) return
      const { username, uid, groups, extra } = user
      assert.deepEqual({ name: username, uid, groups, extra: Object.fromEntries(extra) }, { extra: {}, ...expect.user })
    })
  }
})

describe('request-header authentication', () => {
  const certificate = { leaf: new Uint8Array([1]), intermediates: [] }
  const headers = [
    ['X-Remote-User', 'jane'],
    ['x-remote-group', 'dev'],
  ] as const
  const names = { username: ['X-Remote-User'], uid: [], group: ['X-Remote-Group'], extraPrefix: [] }
  const made = (verdict?: 'certificate_untrusted') =>
    requestHeader({ name: 'front-proxy', headers: names, frontProxy: () => verdict })

  test('T-W10 headers without a certificate are nobody, whatever they say', async () => {
    assert.equal((await made().authenticate({ headers }, callContext())).kind, 'skipped')
  })

  test('T-H7 a certificate that is no front proxy’s is refused, and its headers are not read', async () => {
    const result = await made('certificate_untrusted').authenticate({ certificate, headers }, callContext())
    assert.deepEqual(result, { kind: 'rejected', code: 'certificate_untrusted', source: 'front-proxy' })
  })

  test('T-H7 the front proxy’s certificate alone is nobody', async () => {
    for (const shown of [[], [['X-Remote-User', '']], [['X-Remote-Group', 'system:masters']]] as const) {
      assert.equal((await made().authenticate({ certificate, headers: shown }, callContext())).kind, 'skipped')
    }
  })

  test('whom the front proxy vouches for is authenticated', async () => {
    const result = await made().authenticate({ certificate, headers }, callContext())
    assert.ok(result.kind === 'authenticated')
    assert.deepEqual([result.user.username, result.user.groups], ['jane', ['dev']])
  })

  test('T-W15 any header gives strings and never a crash; only the user’s header makes somebody', () => {
    const read = headerReader({ ...names, uid: ['x-uid'], extraPrefix: ['x-extra-', 'x-'] })
    const name = fc.oneof(fc.constantFrom('x-remote-user', 'X-Extra-%41', 'X-%ff', 'x-uid'), fc.string())
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.string({ unit: 'binary' }))), (lines) => {
        const user = read(lines)
        const shown = lines.some(([given, value]) => given.toLowerCase() === 'x-remote-user' && value.trim() !== '')
        if (user !== undefined) assert.ok(shown && user.username !== '')
        for (const value of [user?.uid ?? '', ...(user?.groups ?? []), ...(user?.extra.keys() ?? [])]) {
          assert.equal(typeof value, 'string')
        }
      }),
    )
  })
})
