import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { identityHeaders } from '../../../src/authn/request/identity-headers.ts'
import { headerReader } from '../../../src/authn/request/request-header.ts'

const read = headerReader({
  username: ['X-Remote-User'],
  uid: ['X-Remote-Uid'],
  group: ['X-Remote-Group'],
  extraPrefix: ['X-Remote-Extra-'],
})

const Vector = z.object({
  name: z.string(),
  kind: z.literal('encode'),
  user: z.object({
    name: z.string(),
    uid: z.string(),
    groups: z.array(z.string()),
    extra: z.record(z.string(), z.array(z.string())),
  }),
  expect: z.object({ headers: z.record(z.string(), z.array(z.string())), readBack: z.unknown() }),
})

describe('an identity in headers, as client-go writes it', () => {
  const { vectors } = z
    .object({ vectors: z.array(z.unknown()) })
    .parse(JSON.parse(readFileSync(new URL('../../vectors/requestheader-vectors.json', import.meta.url), 'utf8')))
  const written = vectors.flatMap((vector) => Vector.safeParse(vector).data ?? [])
  test('are all there', () => assert.equal(written.length, 16))

  for (const { name, user, expect } of written) {
    test(name, () => {
      const { extra, name: username, uid, groups } = user
      const identity = { username, uid, groups, extra: new Map(Object.entries(extra)) }
      if (expect.readBack === null) return assert.throws(() => identityHeaders(identity), { code: 'internal' })
      const lines = identityHeaders(identity)
      const found = Map.groupBy(lines, ([header]) => header.toLowerCase())
      const wanted = Object.entries(expect.headers).map(([header, values]) => [header.toLowerCase(), values] as const)
      assert.deepEqual(
        [...found].map(([header, pairs]) => [header, pairs.map(([, value]) => value)]).sort(),
        [...wanted].sort(),
      )
      assert.deepEqual(read(lines), identity)
    })
  }
})

describe('an identity in headers', () => {
  test('T-H7 is read back as it was, and no part of it becomes another line', () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((one) => !/\p{Cc}/u.test(one) && one.trim() === one)
    const key = text.filter((one) => one === one.toLowerCase())
    fc.assert(
      fc.property(
        text,
        fc.array(text),
        fc.dictionary(key, fc.array(text, { minLength: 1 })),
        (username, groups, extra) => {
          const identity = { username, uid: '', groups, extra: new Map(Object.entries(extra)) }
          const lines = identityHeaders(identity)
          for (const [name, value] of lines)
            assert.ok(/^[!-~]+$/.test(name) && !/[\r\n\0:]/.test(name + value.replaceAll(':', '')))
          assert.deepEqual(read(lines), identity)
        },
      ),
    )
  })

  for (const bad of ['a\r\nX-Remote-Group: system:masters', 'a\0', 'a\x7f', 'a\u0085']) {
    test(`T-H7 ${JSON.stringify(bad)} is not written, wherever it stands`, () => {
      const whole = { username: 'u', uid: '', groups: [], extra: new Map<string, readonly string[]>() }
      for (const part of [{ username: bad }, { uid: bad }, { groups: [bad] }, { extra: new Map([['k', [bad]]]) }]) {
        assert.throws(() => identityHeaders({ ...whole, ...part }), { code: 'internal' })
      }
    })
  }
})
