import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseGroupsFile, withoutRecord, withRecord } from '../../../src/authn/password-file/groups-file.ts'

const plain = (parsed: ReturnType<typeof parseGroupsFile>) =>
  new Map([...parsed].map(([user, { uid, groups }]) => [user, { uid, groups }]))

describe('the groups file', () => {
  test('what was written is read, and changes of one user leave the others', () => {
    const field = fc.string({ unit: 'grapheme' }).filter((text) => !/[\r\uFEFF]/.test(text))
    const group = field.filter((text) => text !== '' && !text.includes(','))
    const user = field.filter((text) => text !== '' && !text.includes(':'))
    const entry = fc.tuple(
      user,
      fc.record({ uid: field, groups: fc.array(group, { maxLength: 3 }) }, { noNullPrototype: true }),
    )
    const step = fc.oneof(entry, fc.constant('blank' as const), fc.record({ gone: user }))
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const meant = new Map<string, { uid: string; groups: readonly string[] }>()
        let text = ''
        for (const one of steps) {
          if (one === 'blank') text += '\n'
          else if ('gone' in one) {
            const gone = [...meant.keys()][0] ?? one.gone
            meant.delete(gone)
            text = withoutRecord(text, gone)
          } else {
            meant.set(...one)
            text = withRecord(text, ...one)
          }
          assert.deepEqual(plain(parseGroupsFile(text, 'f')), meant)
        }
      }),
    )
  })

  test('T-W11 what is doubtful is a mistake, each named with its line', () => {
    const mistakes: Readonly<Record<string, RegExp>> = {
      'ann,1\nann,2\n': /^\/f: line 2: the user is that of line 1 too/,
      ',1,"a"\n': /line 1: the user name is empty/,
      'ann,1,a,b\n': /line 1: has more than three columns. Several groups stand in one pair of quotes/,
      'ann,1,"a,,b"\n': /line 1: a group name is empty/,
      'ann,1,\n': /line 1: a group name is empty/,
      '\uFEFFann,1\n': /line 1: a byte order mark/,
      'jane:$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$kEfN\n':
        /line 1: the user name has a colon. Is this the password file/,
      'ann,1\nb"ob,2\n': /line 2: field 1 has a quote/,
    }
    for (const [text, message] of Object.entries(mistakes)) {
      assert.throws(() => parseGroupsFile(text, '/f'), { code: 'file_invalid', message })
    }
  })

  test('a record needs no uid and no groups, and blank lines stay', () => {
    assert.deepEqual(
      plain(parseGroupsFile('ann\n\nbob,,"a, b"\n', 'f')),
      new Map([
        ['ann', { uid: '', groups: [] }],
        ['bob', { uid: '', groups: ['a', ' b'] }],
      ]),
    )
    const text = 'ann,1\n\n"b\nob",2\n\ncy,3\n'
    assert.equal(withRecord(text, 'b\nob', { uid: '9', groups: ['x', 'y'] }), 'ann,1\n\n"b\nob",9,"x,y"\n\ncy,3\n')
    assert.equal(withoutRecord(text, 'b\nob'), 'ann,1\n\n\ncy,3\n')
    assert.equal(withoutRecord(text, 'nobody'), text)
  })
})
