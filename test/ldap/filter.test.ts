import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { BerReader, BerWriter, type Filter, FilterParser } from 'ldapts'
import { anyOf, filterTemplate } from '../../src/ldap/filter.ts'

/** The filter as a server reads it from the wire. */
function received(filter: Filter): Filter {
  const writer = new BerWriter()
  filter.write(writer)
  return FilterParser.parse(new BerReader(writer.buffer))
}

const byUser = { allowed: ['username'], required: 'username' } as const
const hostile = fc.string({
  unit: fc.constantFrom('*', '(', ')', '\\', '\0', '&', '|', '!', '=', '{', '}', 'u', '김', '😀', '$', '2a'),
  maxLength: 14,
})
const anyText = fc.string({ unit: 'binary', maxLength: 30 }).filter((text) => text.isWellFormed())

describe('a value in a filter', () => {
  test('T-S6 arrives as it was, in the place of the placeholder, and changes nothing else', () => {
    const template = filterTemplate(
      '(&(objectClass=person)(|(uid={username})(mail={username}@x))(!(cn={username})))',
      byUser,
    )
    fc.assert(
      fc.property(fc.oneof(anyText, hostile), (username) => {
        // ldapts folds values of objectClass to lower case
        const { filters } = received(template({ username })) as unknown as { filters: Filter[] }
        assert.equal(filters.length, 3)
        const either = (filters[1] as unknown as { filters: { attribute: string; value: string }[] }).filters
        assert.deepEqual(
          either.map(({ attribute, value }) => [attribute, value]),
          [
            ['uid', username],
            ['mail', `${username}@x`],
          ],
        )
        const not = (filters[2] as unknown as { filter: { attribute: string; value: string } }).filter
        assert.deepEqual([not.attribute, not.value], ['cn', username])
      }),
      { numRuns: 1000 },
    )
  })

  test('T-S6 is literal in every kind of filter', () => {
    const kinds: readonly [string, string][] = [
      ['(uid={username})', '(uid=\\2a\\29)'],
      ['(uid=x{username}*)', '(uid=x\\2a\\29*)'],
      ['(uid=*{username}*y)', '(uid=*\\2a\\29*y)'],
      ['(uid>={username})', '(uid>=\\2a\\29)'],
      ['(uid<={username})', '(uid<=\\2a\\29)'],
      ['(uid~={username})', '(uid~=\\2a\\29)'],
      ['(cn:caseExactMatch:={username})', '(cn:caseExactMatch:=\\2a\\29)'],
      [
        '(&(uid={username})(!(userAccountControl:1.2.840.113556.1.4.803:=2)))',
        '(&(uid=\\2a\\29)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))',
      ],
      ['(&(mail=*)(uid={username}))', '(&(mail=*)(uid=\\2a\\29))'],
      ['(uid=\\28{username})', '(uid=\\28\\2a\\29)'],
    ]
    for (const [text, expected] of kinds) {
      assert.equal(filterTemplate(text, byUser)({ username: '*)' }).toString(), expected)
    }
  })

  test('T-S6 that looks like a placeholder is not one', () => {
    const template = filterTemplate('(&(member={dn})(memberUid={username}))', {
      allowed: ['dn', 'username'],
      required: 'dn',
    })
    const filter = template({ dn: 'cn={username}', username: '{dn}$&' })
    assert.equal(filter.toString(), '(&(member=cn={username})(memberUid={dn}$&))')
  })
})

test('in a chain the server follows the member attribute, and only that', () => {
  const options = { allowed: ['dn', 'username'], required: 'dn', inChain: 'dn' } as const
  const template = filterTemplate('(&(objectClass=group)(|(member={dn})(x={dn} y)))', options)
  assert.equal(
    template({ dn: 'cn=a*', username: 'u' }).toString(),
    '(&(objectClass=group)(|(member:1.2.840.113556.1.4.1941:=cn=a\\2a)(x=cn=a\\2a y)))',
  )
  assert.throws(() => filterTemplate('(member=cn={dn})', options), /needs \(member=\{dn\}\)/)
})

test('one of several', () => {
  const template = filterTemplate('(uid={username})', byUser)
  const [one, two] = [template({ username: 'a' }), template({ username: 'b' })]
  assert.equal(anyOf([one]), one)
  assert.equal(anyOf([one, two]).toString(), '(|(uid=a)(uid=b))')
})

test('a template that cannot be meant is refused, in words', () => {
  const cases: readonly [string, RegExp][] = [
    ['', /in parentheses/],
    ['uid={username}', /in parentheses/],
    ['(uid={username}', /in parentheses/],
    ['(uid={username}))', /do not match/],
    ['(&(uid={username})', /do not match/],
    ['(uid={username})(cn=x)', /do not match/],
    ['(uid=alice)', /needs \{username\}/],
    ['(uid={user})', /unknown placeholder \{user\}: known is \{username\}/],
    ['(|(uid={username})(cn={dn}))', /unknown placeholder \{dn\}/],
    ['(uid={username)', /brace without/],
    ['(uid={{username}})', /brace without/],
    ['({username}=alice)', /not a search filter/],
    ['(uid=\\c3\\a9{username})', /write the character itself/],
    ['(uid=\\zz{username})', /not a search filter/],
  ]
  for (const [text, message] of cases) assert.throws(() => filterTemplate(text, byUser), message, text)
})
