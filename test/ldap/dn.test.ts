import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { dnKey, dnTemplate, escapeDnValue, isUnder, parseDn } from '../../src/ldap/dn.ts'

/** Text as it can be sent: no lone surrogates. */
const anyText = fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }).filter((text) => text.isWellFormed())
const hostile = fc.string({
  unit: fc.constantFrom(',', '+', '=', '\\', '"', '<', '>', ';', '#', ' ', '\0', '{', '}', 'a', '김', '😀', '\n'),
  minLength: 1,
  maxLength: 12,
})

describe('a value in a DN', () => {
  test('T-S6 is read back as it was, whatever its characters', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, hostile), (value) => {
        assert.match(escapeDnValue(value), /^([A-Za-z0-9._@-]|\\[0-9A-F]{2})+$/)
        assert.deepEqual(parseDn(`uid=${escapeDnValue(value)}`), [[{ type: 'uid', value }]])
      }),
      { numRuns: 1000 },
    )
  })

  test('T-S6 in a template changes that value and nothing else', () => {
    const templates = ['uid={username},ou=people,dc=example', 'cn=x\\, y+uid=a{username}b,dc=example', 'UID={username}']
    fc.assert(
      fc.property(fc.constantFrom(...templates), fc.oneof(anyText, hostile), (template, username) => {
        const expected = parseDn(template)?.map((part) =>
          part.map(({ type, value }) => ({ type, value: value.split('{username}').join(username) })),
        )
        assert.deepEqual(parseDn(dnTemplate(template)(username)), expected)
      }),
      { numRuns: 1000 },
    )
  })
})

test('a DN is read as RFC 4514 writes it', () => {
  const one = (type: string, value: string) => [{ type, value }]
  const cases: readonly [string, ReturnType<typeof parseDn>][] = [
    ['UID=jsmith,DC=example,DC=net', [one('uid', 'jsmith'), one('dc', 'example'), one('dc', 'net')]],
    ['OU=Sales+CN=J.  Smith,DC=x', [[...one('ou', 'Sales'), ...one('cn', 'J.  Smith')], one('dc', 'x')]],
    ['CN=James \\"Jim\\" Smith\\, III,DC=x', [one('cn', 'James "Jim" Smith, III'), one('dc', 'x')]],
    ['CN=Before\\0dAfter', [one('cn', 'Before\rAfter')]],
    ['CN=Lu\\C4\\8Di\\C4\\87', [one('cn', 'Lučić')]],
    ['cn = a b , dc = x ', [one('cn', 'a b'), one('dc', 'x')]],
    ['cn=\\ a\\ ', [one('cn', ' a ')]],
    ['cn=a\\20 ', [one('cn', 'a ')]],
    ['1.3.6.1.4.1.1466.0=김', [one('1.3.6.1.4.1.1466.0', '김')]],
    ['cn=', [one('cn', '')]],
  ]
  for (const [text, expected] of cases) assert.deepEqual(parseDn(text), expected, text)
  for (const text of [
    '',
    ' ',
    'cn',
    '=x',
    'cn=a,',
    ',cn=a',
    'cn=a,,dc=x',
    'cn=a\\',
    'cn=\\z',
    'cn=#04',
    'cn="a"',
    'cn=a;b',
    'cn=\\ff',
    'a b=c',
    'cn=a<b',
    'cn=a\0',
    'c_n=x',
  ]) {
    assert.equal(parseDn(text), undefined, JSON.stringify(text))
  }
})

test('two spellings of a DN are one, two DNs are two', () => {
  const key = (text: string) => dnKey(parseDn(text) ?? [])
  assert.equal(key('CN=Admins, OU=Groups,dc=X'), key('cn=admins,ou=groups,dc=x'))
  assert.equal(key('cn=a\\2cb,dc=x'), key('cn=a\\,b,dc=x'))
  assert.equal(key('cn=a+uid=b'), key('uid=b+cn=a'))
  assert.notEqual(key('cn=a\\,dc=b'), key('cn=a,dc=b'))
  assert.notEqual(key('cn=a+uid=b'), key('cn=a,uid=b'))
})

test('a DN is under its base by its parts, not by its end', () => {
  const under = (text: string, base: string) => isUnder(parseDn(text) ?? [], parseDn(base) ?? [])
  assert.ok(under('cn=a,OU=Groups,dc=x', 'ou=groups,DC=x'))
  assert.ok(under('ou=groups,dc=x', 'ou=groups,dc=x'))
  assert.ok(!under('dc=x', 'ou=groups,dc=x'))
  assert.ok(!under('cn=a,ou=xgroups,dc=x', 'ou=groups,dc=x'))
  assert.ok(!under('cn=a\\,ou=groups,dc=x', 'ou=groups,dc=x'))
  assert.ok(!under('cn=a+ou=groups,dc=x', 'ou=groups,dc=x'))
})

test('a template that could mean something else is refused, in words', () => {
  const cases: readonly [string, RegExp][] = [
    ['uid=alice,dc=x', /needs \{username\}, once/],
    ['uid={username},cn={username}', /needs \{username\}, once/],
    ['uid={username},cn={dn}', /only placeholder/],
    ['{username}', /not a DN/],
    ['{username}=x', /not a DN/],
    ['uid=\\{username},dc=x', /not a DN/],
    ['uid=\\5{username},dc=x', /not a DN/],
    ['uid=#{username},dc=x', /not a DN/],
    ['uid="{username}",dc=x', /not a DN/],
    ['uid={username},', /not a DN/],
    ['{username}@example.org', /not a DN/],
  ]
  for (const [template, message] of cases) assert.throws(() => dnTemplate(template), message, template)
})
