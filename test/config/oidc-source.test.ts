import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { z } from 'zod'
import { SIGNING_ALGORITHMS } from '../../src/authn/oidc/algorithms.ts'
import { readClaimRules } from '../../src/authn/oidc/claim-rules.ts'
import { mappingOptions } from '../../src/config/mapping-options.ts'
import { authenticationConfigurationSource, oidcRules, oidcSource } from '../../src/config/oidc-source.ts'
import { optionRegistry } from '../../src/config/option.ts'

const LEAST = { issuer: 'https://issuer.example', audiences: ['kubernetes'] }

function mistakes(source: object): readonly string[] {
  const parsed = oidcSource.safeParse({ ...LEAST, ...source })
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
}

describe('an OpenID Connect source', () => {
  test('needs an issuer and an audience, and has defaults for the rest', () => {
    assert.deepEqual(oidcSource.parse(LEAST), {
      ...LEAST,
      name: 'oidc',
      allowHttpLoopback: false,
      algorithms: [...SIGNING_ALGORITHMS],
      leeway: 30_000,
      tokenLength: 16_384,
      timeout: 5000,
      refresh: 600_000,
      cooldown: 10_000,
      staleKeys: 14_400_000,
    })
    for (const key of ['issuer', 'audiences'])
      assert.ok(mistakes({ [key]: undefined }).some((text) => text.startsWith(`${key}: `)))
    assert.equal(mistakes({ audiences: [] }).length, 1)
  })

  test('T-S7 takes no algorithm that is not of a public key', () => {
    for (const algorithm of ['none', 'HS256', 'HS512', 'rs256', ''])
      assert.equal(mistakes({ algorithms: [algorithm] }).length, 1)
    assert.equal(mistakes({ algorithms: [] }).length, 1)
    assert.deepEqual(mistakes({ algorithms: ['RS256', 'EdDSA'] }), [])
  })

  test('takes plain http for loopback only, and only when told', () => {
    assert.deepEqual(mistakes({ issuer: 'http://127.0.0.1:8080' }), ['issuer: is plain http; write https'])
    assert.deepEqual(mistakes({ issuer: 'http://127.0.0.1:8080', allowHttpLoopback: true }), [])
    assert.deepEqual(mistakes({ issuer: 'http://issuer.example', allowHttpLoopback: true }), [
      'issuer: is plain http to another machine; write https',
    ])
    assert.deepEqual(mistakes({ discoveryUrl: 'http://x' }), ['discoveryUrl: is plain http; write https'])
  })

  test('has its rules by flags, as kube-apiserver', () => {
    const read = readClaimRules(oidcRules(oidcSource.parse({ ...LEAST, groupsClaim: 'groups' })))
    assert.ok(read.kind === 'rules')
    assert.deepEqual(read.rules.username, { kind: 'claim', claim: 'sub', prefix: 'https://issuer.example#' })
    assert.deepEqual(read.rules.groups, { kind: 'claim', claim: 'groups', prefix: '' })
  })

  test('has its rules by mappings, with rules of either kind', () => {
    const rules = {
      claimMappings: {
        username: { expression: 'claims.sub' },
        extra: [{ key: 'example.com/a', valueExpression: 'claims.a' }],
      },
      claimValidationRules: [{ claim: 'hd', requiredValue: 'x' }],
      userValidationRules: [{ expression: 'user.username != ""' }],
    }
    const read = readClaimRules(oidcRules(oidcSource.parse({ ...LEAST, ...rules })))
    assert.ok(read.kind === 'rules')
    assert.deepEqual([read.rules.extra.length, read.rules.claimRules.length, read.rules.userRules.length], [1, 1, 1])
    assert.deepEqual(mistakes({ claimValidationRules: rules.claimValidationRules, usernameClaim: 'name' }), [])
  })

  test('tells every mistake with its place', () => {
    const source = {
      issuer: 'nowhere',
      audiences: ['a', 'a'],
      claimMappings: { username: { claim: 'sub' }, groups: { expression: 'claims.groups.nope()' } },
      claimValidationRules: [{ claim: 'a' }, { expression: 'claims.x' }],
      usernameClaim: 'sub',
    }
    assert.deepEqual(mistakes(source), [
      'issuer: expected an address such as https://issuer.example',
      'audiences.1: stands twice',
      'usernameClaim: is said by `claimMappings`: leave one of them out',
      'claimMappings.username.prefix: missing: set it, to "" for no prefix',
      'claimMappings.groups.expression: nope() is not a function that is supported here, at character 1',
      'claimValidationRules.1.expression: it gives dyn, and has to give true or false; a claim alone is neither, compare it: claims.admin == true',
    ])
    assert.deepEqual(mistakes({ groupsPrefix: 'x' }), ['groupsPrefix: has nothing to put it before: set `groupsClaim`'])
  })

  test('refuses what it does not know, and what is out of range', () => {
    const wrong = [
      { clientId: 'x' },
      { leeway: '61s' },
      { leeway: 30 },
      { tokenLength: 1 },
      { timeout: '0s' },
      { cooldown: '0s' },
      { staleKeys: '25h' },
      { refresh: '1s' },
    ]
    for (const source of wrong) assert.equal(mistakes(source).length, 1, JSON.stringify(source))
  })
})

test('a source of the issuers of a file has the same settings for asking and judging', () => {
  const read = authenticationConfigurationSource.parse({ path: '/etc/authn.yaml' })
  assert.equal(read.name, 'oidc-file')
  assert.equal(read.leeway, 30_000)
  assert.ok(!authenticationConfigurationSource.safeParse({ path: 'x', issuer: 'y' }).success)
})

test('a mapping has prefixes, expressions and examples', () => {
  const mapping = {
    usernamePrefix: 'a',
    groupPrefix: 'b',
    expressions: {
      username: 'user.uid',
      groups: '[]',
      extra: [{ key: 'a/b', valueExpression: '[]' }],
      rules: [{ expression: 'true' }],
    },
    examples: [
      { user: { username: 'a' }, expect: 'refused' },
      { user: { username: 'a', groups: ['b'] }, source: 's', expect: { username: 'a', extra: { x: ['y'] } } },
    ],
  }
  assert.deepEqual(mappingOptions.parse(mapping), mapping)
  assert.deepEqual(mappingOptions.parse({}), {})
  for (const wrong of [
    { prefix: 'x' },
    { examples: [{ user: { username: 'a' }, expect: 'denied' }] },
    { expressions: { user: 'x' } },
  ]) {
    assert.ok(!mappingOptions.safeParse(wrong).success)
  }
})

test('every leaf is described', () => {
  for (const schema of [oidcSource, authenticationConfigurationSource]) {
    for (const [key, member] of Object.entries(schema.shape)) {
      if (['claimMappings', 'claimValidationRules', 'userValidationRules'].includes(key)) continue
      assert.ok(optionRegistry.has(member as z.ZodType), key)
      assert.match((member as z.ZodType).description ?? '', /^\S.{10,}\.$/, key)
    }
  }
})
