import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { ldapAuthenticator } from '../../src/authn/ldap/ldap.ts'
import { ldapOptions, ldapSource } from '../../src/config/ldap-source.ts'
import { optionRegistry } from '../../src/config/option.ts'
import { duration } from '../../src/config/values.ts'
import { Secret } from '../../src/secret.ts'

const LEAST = { urls: ['ldaps://ldap.example'], user: { dnTemplate: 'uid={username},ou=people,dc=example' } }
const WHOLE = {
  ...LEAST,
  bindDn: 'cn=archway,dc=example',
  bindPasswordFile: 'ldap.password',
  user: { base: 'ou=people,dc=example', filter: '(uid={username})' },
  attributes: { username: 'mail', uid: 'entryUUID', extra: [{ key: 'example.org/mail', attribute: 'mail' }] },
  groups: { base: 'ou=groups,dc=example' },
}

/** `path: message` of each mistake. */
function mistakes(source: object): readonly string[] {
  const { error } = ldapSource.safeParse(source)
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
}

describe('an LDAP source', () => {
  test('has these defaults', () => {
    assert.deepEqual(ldapSource.parse(LEAST), {
      urls: ['ldaps://ldap.example'],
      name: 'ldap',
      startTls: false,
      allowPlain: false,
      anonymous: false,
      user: { scope: 'sub', dnTemplate: 'uid={username},ou=people,dc=example' },
      attributes: { username: 'uid', extra: [] },
      maxGroups: 1000,
      timeout: 8000,
      stepTimeout: 3000,
      connections: 16,
      queue: 1024,
      idleTimeout: 60_000,
    })
    assert.deepEqual(ldapSource.parse(WHOLE).groups, {
      from: 'search',
      base: 'ou=groups,dc=example',
      scope: 'sub',
      filter: '(member={dn})',
      memberOfAttribute: 'memberOf',
      nameAttribute: 'cn',
      nested: 'none',
      depth: 5,
    })
  })

  test('becomes what the authenticator takes', async () => {
    const password = new Secret('pw')
    const memberOf = { ...WHOLE, groups: { ...WHOLE.groups, from: 'memberOf', nested: 'walk' } }
    const walk = { ...WHOLE, groups: { ...WHOLE.groups, nested: 'walk', depth: 2 } }
    for (const source of [LEAST, { ...LEAST, anonymous: true }, WHOLE, memberOf, walk]) {
      const authenticator = ldapAuthenticator(ldapOptions(ldapSource.parse(source), { password }))
      assert.equal(authenticator.insecure, false)
      await authenticator.close()
    }
    const { directory, user, attributes, groups } = ldapOptions(ldapSource.parse(memberOf), { password, ca: 'PEM' })
    assert.deepEqual(directory, {
      urls: ['ldaps://ldap.example'],
      startTls: false,
      allowPlain: false,
      ca: 'PEM',
      searchAs: { kind: 'account', dn: 'cn=archway,dc=example', password },
      timeoutMs: 8000,
      stepMs: 3000,
      connections: 16,
      queue: 1024,
      idleMs: 60_000,
    })
    assert.deepEqual(user, { base: 'ou=people,dc=example', scope: 'sub', filter: '(uid={username})' })
    assert.deepEqual(attributes, WHOLE.attributes)
    assert.deepEqual(groups, {
      kind: 'memberOf',
      base: 'ou=groups,dc=example',
      attribute: 'memberOf',
      nameAttribute: 'cn',
      nested: 'walk',
      depth: 5,
    })
    assert.equal(ldapOptions(ldapSource.parse(LEAST), {}).directory.searchAs.kind, 'person')
    const anonymous = ldapOptions(ldapSource.parse({ ...LEAST, anonymous: true }), {})
    assert.equal(anonymous.directory.searchAs.kind, 'anonymous')
  })

  test('tells all its mistakes at once, each at its place', () => {
    const rows: readonly (readonly [object, readonly RegExp[]])[] = [
      [{ ...LEAST, urls: [] }, [/^urls: /]],
      [
        { ...LEAST, urls: ['ldap://x', 'ldaps://y', 'ldaps://y', 'http://z'] },
        [/^urls\.0: .*unprotected/, /^urls\.2: stands twice/, /^urls\.3: .*expected ldaps:/],
      ],
      [{ ...LEAST, urls: ['ldap://x'], startTls: true, allowPlain: true }, [/^urls\.0: .*exclude each other/]],
      [{ ...LEAST, bindDn: 'cn=a' }, [/^bindDn: bindDn and bindPasswordFile go together/]],
      [{ ...WHOLE, anonymous: true }, [/^anonymous: `bindDn` says as whom/]],
      [
        { ...LEAST, user: {} },
        [/^user: set `base` and `filter` \(--ldap-user-base, --ldap-user-filter\), or `dnTemplate`/],
      ],
      [{ ...WHOLE, user: { ...WHOLE.user, ...LEAST.user } }, [/^user: set .* and not both/]],
      [{ ...WHOLE, user: { base: 'dc=x' } }, [/^user: set/]],
      [{ ...LEAST, user: WHOLE.user }, [/^bindDn: missing: who searches for people\?/]],
      [
        { ...WHOLE, user: { base: 'people', filter: '(uid=x)' }, attributes: { username: '*', uid: '' } },
        [
          /^user\.base: expected a DN/,
          /^user\.filter: the filter needs/,
          /^attributes\.username: /,
          /^attributes\.uid: /,
        ],
      ],
      [{ ...LEAST, user: { dnTemplate: 'x' } }, [/^user\.dnTemplate: a DN template needs/]],
      [{ ...WHOLE, groups: { base: 'dc=x', filter: '(cn=x)' } }, [/^groups\.filter: the filter needs/]],
      [{ ...WHOLE, groups: { base: 'x' } }, [/^groups\.base: expected a DN/]],
      [
        { ...WHOLE, groups: { base: 'dc=x', from: 'memberOf', nested: 'inChain' } },
        [/^groups\.nested: inChain goes with/],
      ],
      [{ ...LEAST, timeout: '2s', stepTimeout: '3s' }, [/^stepTimeout: is longer/]],
      [
        { ...LEAST, attributes: { extra: [{ key: 'Mail', attribute: 'mail' }] } },
        [/^attributes\.extra\.0\.key: .*lower case/],
      ],
      [{ ...LEAST, password: 'x' }, [/password/]],
    ]
    for (const [source, expected] of rows) {
      const found = mistakes(source)
      assert.equal(found.length, expected.length, found.join('\n'))
      for (const [index, pattern] of expected.entries()) assert.match(found[index] ?? '', pattern)
    }
  })

  test('is shown in its page, with every option and default', () => {
    const page = readFileSync(new URL('../../docs/ldap.md', import.meta.url), 'utf8')
    const shown = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => parse(text))
    assert.equal(shown.length, 2)
    for (const [item] of shown) {
      const options = ldapOptions(ldapSource.parse(item.ldap), { password: new Secret('x') })
      assert.doesNotThrow(() => ldapAuthenticator(options))
    }
    const table = page.slice(page.indexOf('## Options'))
    const rows = [...table.matchAll(/^\| (`.*?) \| (.*?) \|/gm)].flatMap(([, names = '', value = '']) =>
      [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => [name, value.replaceAll('`', '')] as const),
    )
    const documented = rows.map(([name]) => (name === '.attribute' ? 'attributes.extra[].attribute' : name))
    assert.deepEqual(documented.filter((name) => name !== 'groups').sort(), optionNames(ldapSource, '').sort())
    const defaults = new Map<string, unknown>()
    for (const [name, value] of Object.entries(ldapSource.parse(WHOLE))) {
      defaults.set(name, value)
      if (typeof value !== 'object' || Array.isArray(value)) continue
      for (const [inner, of] of Object.entries(value)) defaults.set(`${name}.${inner}`, of)
    }
    const given = new Set(['user.base', 'user.filter', 'bindDn', 'bindPasswordFile', 'groups', 'groups.base', 'urls'])
    for (const [name, value] of rows) {
      const actual = defaults.get(name)
      if (actual === undefined || given.has(name) || name.startsWith('attributes.')) continue
      if (/^\d+[sm]$/.test(value)) assert.equal(duration().parse(value), actual, name)
      else assert.equal(value, String(actual), name)
    }
  })

  test('describes every option in a sentence', () => {
    assert.ok(optionNames(ldapSource, '').length > 25)
  })
})

/** Names of the options; each must be registered and described. */
function optionNames(schema: z.core.$ZodType, path: string): string[] {
  if (optionRegistry.has(schema as z.ZodType)) {
    assert.match((schema as z.ZodType).description ?? '', /^[A-Z`].{5,}\.$/, path)
    return [path]
  }
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
    return optionNames(schema.unwrap() as z.core.$ZodType, path)
  }
  if (schema instanceof z.ZodArray) return optionNames(schema.element, `${path}[]`)
  assert.ok(schema instanceof z.ZodObject, `${path}: wrap it in option(…)`)
  return Object.entries(schema.shape).flatMap(([key, member]) =>
    optionNames(member as z.core.$ZodType, path === '' ? key : `${path}.${key}`),
  )
}
