import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { htpasswdLines, parseHtpasswd, withoutUser, withUser } from '../../../src/authn/password-file/htpasswd.ts'

const SHA = '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='
const BCRYPT = '$2y$05$T9tmVOn7bh2SCenXftuVRudw9IEMxQaVLvmWWbApmxn6eTsKfWkSe'

const name = fc
  .oneof(fc.string({ unit: 'grapheme', minLength: 1 }), fc.constantFrom('__proto__', 'constructor', 'a b', '안녕'))
  .filter((text) => !/[:\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Noncharacter_Code_Point}]/u.test(text) && !text.startsWith('#'))
const noise = fc.constantFrom('', '  ', '# a comment: with a colon', '#bob:{SHA}x')

describe('an htpasswd file', () => {
  test('T-H13 users, comments and blank lines with either end of line are read', () => {
    const line = fc.oneof(
      name,
      noise.map((text) => ({ text })),
    )
    fc.assert(
      fc.property(fc.array(line), fc.constantFrom('\n', '\r\n'), (lines, ending) => {
        const names = lines.filter((one) => typeof one === 'string')
        fc.pre(new Set(names).size === names.length)
        const text = lines.map((one) => (typeof one === 'string' ? `${one}:${BCRYPT}` : one.text)).join(ending)
        const { entries } = parseHtpasswd(text, 'f')
        assert.deepEqual(
          entries.map(({ username }) => username),
          names,
        )
        assert.deepEqual(
          entries.map(({ line }) => line),
          lines.flatMap((one, i) => (typeof one === 'string' ? [i + 1] : [])),
        )
      }),
    )
  })

  test('T-S1 no text makes the reader throw anything but file_invalid, and no message quotes it', () => {
    const piece = fc.oneof(
      fc.constantFrom(':', '\n', '\r\n', '#', SHA, '$2y$', 'c4n4ry'),
      fc.string({ unit: 'binary' }),
    )
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        try {
          parseHtpasswd(pieces.join(''), 'f')
        } catch (thrown) {
          assert.ok(thrown instanceof Error && 'code' in thrown && thrown.code === 'file_invalid')
          assert.ok(!thrown.message.includes('c4n4ry'))
        }
      }),
    )
  })

  test('T-W11 a user who stands twice is a mistake, and every mistake is named with its line', () => {
    assert.throws(() => parseHtpasswd(`bob:${SHA}\nnonsense\n:${SHA}\nz\u200b:${SHA}\nann:x\nbob:${BCRYPT}\n`, '/f'), {
      code: 'file_invalid',
      message:
        /^\/f: line 2: has no user name.*\nline 3: has no user name.*\nline 4: the user name holds control or invisible.*\nline 5: the hash is none of.*\nline 6: the user is that of line 1 too\. Keep one of the two lines$/,
    })
    assert.throws(() => parseHtpasswd(`\uFEFFbob:${SHA}`, '/f'), { message: /line 1: .* perhaps a byte order mark/ })
  })

  test('a picture in its place makes no message of megabytes', () => {
    assert.throws(
      () => parseHtpasswd('nonsense\n'.repeat(10_000), '/f'),
      (thrown) => thrown instanceof Error && thrown.message.length < 5000,
    )
  })

  test('T-S5 hashes that are guessed quickly are warned of', () => {
    const { warnings } = parseHtpasswd(`ann:${BCRYPT}\nbob:${SHA}\n`, '/f')
    assert.equal(warnings.length, 1)
    assert.equal(warnings[0]?.line, 2)
    assert.match(warnings[0]?.message ?? '', /^\{SHA\} is one round of SHA-1 without salt.*archway passwd/)
  })

  test('a user added or changed stands there once, and all other lines are as they were', () => {
    const file = fc.tuple(
      fc.array(
        fc.oneof(
          name.map((one) => `${one}:${SHA}`),
          noise,
        ),
      ),
      fc.constantFrom('\n', '\r\n'),
    )
    fc.assert(
      fc.property(file, name, fc.boolean(), ([lines, ending], user, closed) => {
        const before = lines.join(ending) + (closed && lines.length > 0 ? ending : '')
        const others = (text: string) => text.split(/\r?\n/).filter((line) => !line.startsWith(`${user}:`))
        const own = (text: string) => htpasswdLines(text).filter(({ username }) => username === user)
        fc.pre(own(before).length < 2)
        const changed = withUser(before, user, BCRYPT)
        assert.deepEqual(
          own(changed).map(({ encoded }) => encoded),
          [BCRYPT],
        )
        const kept = (text: string) => others(text).filter((line) => line !== '')
        assert.deepEqual(kept(changed), kept(before))
        if (own(before).length === 1) {
          assert.deepEqual(
            own(changed).map(({ line }) => line),
            own(before).map(({ line }) => line),
          )
          assert.equal(withUser(changed, user, SHA), before)
        }
        assert.deepEqual(own(withoutUser(changed, user)), [])
        assert.deepEqual(kept(withoutUser(changed, user)), kept(before))
      }),
    )
  })
})
