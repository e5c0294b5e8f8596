import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseBasicAuthCsv } from '../../../src/authn/password-file/basic-auth-csv.ts'
import { passwordVerifier } from '../../../src/authn/password-file/hashing.ts'

describe('the CSV of --basic-auth-file', () => {
  test('T-H13 any password, name, uid and groups, quoted, come back as they were', async () => {
    const verifier = passwordVerifier()
    const field = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\r'))
    const group = field.filter((text) => !text.includes(','))
    const record = fc.record({
      password: field,
      username: fc.oneof(field, fc.constantFrom('__proto__', 'constructor')),
      uid: field,
      groups: fc.array(group, { minLength: 1, maxLength: 3 }),
    })
    const quote = (text: string) => `"${text.replaceAll('"', '""')}"`
    await fc.assert(
      fc.asyncProperty(fc.array(record, { maxLength: 5 }), async (records) => {
        const text = records.map(({ password, username, uid, groups }) =>
          [password, username, uid, groups.join(',')].map(quote).join(','),
        )
        const { entries } = parseBasicAuthCsv(`${text.join('\n')}\n`, 'f')
        const last = new Map(records.map((one) => [one.username, one]))
        assert.equal(entries.length, last.size)
        for (const { username, uid, groups, stored } of entries) {
          const meant = last.get(username)
          assert.deepEqual({ uid, groups }, { uid: meant?.uid, groups: meant?.groups })
          assert.equal(await verifier.matches(stored, meant?.password ?? ''), true)
          assert.equal(await verifier.matches(stored, `${meant?.password}x`), false)
        }
      }),
    )
  })

  test('T-S1 no text makes the reader throw anything but file_invalid, and no message quotes a field', () => {
    const piece = fc.oneof(fc.constantFrom(',', '"', '\n', '\r\n', '#'), fc.constant('c4n4ry'), fc.string())
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        try {
          assert.ok(!JSON.stringify(parseBasicAuthCsv(pieces.join(''), 'f').warnings).includes('c4n4ry'))
        } catch (thrown) {
          assert.ok(thrown instanceof Error && 'code' in thrown && thrown.code === 'file_invalid')
          assert.ok(!thrown.message.includes('c4n4ry'))
        }
      }),
    )
  })

  test('what its writer most likely did not mean is warned of, with its line', () => {
    const text = `\uFEFFpw,u,i\n,empty,i\npw,,i\npw,u,i,"a,,b"\npw,w,i,a,b\n${'x'.repeat(1025)},long,i\n`
    assert.deepEqual(
      parseBasicAuthCsv(text, 'f').warnings.map(({ line, message }) => `${line}: ${message.slice(0, 38)}`),
      [
        '1: a byte order mark stands before the fi',
        '2: the password is empty: whoever knows t',
        '3: the user name is empty; nobody logs in',
        '4: the user is that of line 1 too; this r',
        '4: a group name is empty. Leave the fourt',
        '5: columns after the fourth are ignored. ',
        '6: the password is longer than 1024 bytes',
      ],
    )
  })

  test('every short record is named', () => {
    assert.throws(() => parseBasicAuthCsv('pw,u,i\npw,u\n  \n', '/f'), {
      code: 'file_invalid',
      message: /^\/f: line 2: has fewer than 3 columns.*\nline 3: has fewer/,
    })
  })
})
