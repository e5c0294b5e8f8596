import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SKIPPED } from '../../src/authn/authenticator.ts'
import { TOKEN_SCOPES } from '../../src/authn/keystone-identity.ts'
import { type KeystoneTokenOptions, keystoneToken } from '../../src/authn/keystone-token.ts'
import { usernameFormat } from '../../src/authn/username-format.ts'
import { ArchwayError } from '../../src/errors.ts'
import type { GroupListing } from '../../src/keystone/groups.ts'
import type { KeystoneScope, KeystoneToken } from '../../src/keystone/token.ts'
import { type AuthenticatorUnderTest, authenticatorContract } from '../contract/authenticator.ts'
import { callContext, type TestContext } from '../support/context.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const TOKEN = 'gAAAAABcanary-5ca1ab1e'
const domain = { id: 'default', name: 'Default' }
const project: KeystoneScope = { kind: 'project', id: 'p-1', name: 'demo', domain, isDomain: false }

function keystoneSays(over: Partial<KeystoneToken> = {}): KeystoneToken {
  return {
    user: { id: 'u-1', name: 'jane', domain },
    scope: project,
    roles: ['reader', 'member'],
    methods: ['password'],
    auditIds: ['a-1'],
    expiresAt: new Date(NOW.getTime() + 3_600_000),
    issuedAt: NOW,
    federated: false,
    ...over,
  }
}

interface Given extends Partial<Omit<KeystoneTokenOptions, 'identity'>> {
  readonly token?: KeystoneToken | undefined | Error
  readonly groups?: GroupListing | Error
}

interface Setup {
  /** What Keystone was asked, in order. */
  readonly asked: string[]
  readonly ctx: TestContext
  ask(token?: string): ReturnType<ReturnType<typeof keystoneToken>['authenticate']>
}

function setUp(given: Given = {}): Setup {
  const { groups = { kind: 'listed', groups: [] }, ...options } = given
  const token = 'token' in given ? given.token : keystoneSays()
  const asked: string[] = []
  const ctx = callContext()
  const authenticator = keystoneToken({
    identity: {
      async validateToken(text, call) {
        assert.equal(call, ctx)
        asked.push(`token ${text}`)
        if (token instanceof Error) throw token
        return token
      },
      async listGroups(text, userId, call) {
        assert.equal(call, ctx)
        asked.push(`groups of ${userId} with ${text}`)
        if (groups instanceof Error) throw groups
        return groups
      },
    },
    usernameFormat: usernameFormat('%n'),
    scopes: ['project'],
    methods: [],
    now: () => NOW,
    ...options,
  })
  return { asked, ctx, ask: (text = TOKEN) => authenticator.authenticate(text, ctx) }
}

function listed(...names: readonly string[]): GroupListing {
  return { kind: 'listed', groups: names.map((name) => ({ id: `id of ${name}`, name })) }
}

describe('an identity from Keystone', () => {
  test('is that of k8s-keystone-auth: name, id, groups with the project id last, five keys of extra', async () => {
    const { ask, asked } = setUp({ groups: listed('dev', '개발팀', 'dev') })
    assert.deepEqual(await ask(), {
      kind: 'authenticated',
      source: 'keystone',
      user: {
        username: 'jane',
        uid: 'u-1',
        groups: ['dev', '개발팀', 'dev', 'p-1'],
        extra: new Map([
          ['alpha.kubernetes.io/identity/project/id', ['p-1']],
          ['alpha.kubernetes.io/identity/project/name', ['demo']],
          ['alpha.kubernetes.io/identity/roles', ['reader', 'member']],
          ['alpha.kubernetes.io/identity/user/domain/id', ['default']],
          ['alpha.kubernetes.io/identity/user/domain/name', ['Default']],
        ]),
      },
      expiresAt: new Date(NOW.getTime() + 3_600_000),
    })
    assert.deepEqual(asked, [`token ${TOKEN}`, `groups of u-1 with ${TOKEN}`])
  })

  test('has all five keys and its project id also without groups and roles', async () => {
    const result = await setUp({ token: keystoneSays({ roles: [] }) }).ask()
    assert.ok(result.kind === 'authenticated')
    assert.deepEqual(result.user.groups, ['p-1'])
    assert.equal(result.user.extra.size, 5)
    assert.deepEqual(result.user.extra.get('alpha.kubernetes.io/identity/roles'), [])
  })

  test('is named by the format, and comes from the source of that name', async () => {
    const result = await setUp({ name: 'keystone-b', usernameFormat: usernameFormat('%n@%d') }).ask()
    assert.ok(result.kind === 'authenticated')
    assert.equal(result.user.username, 'jane@Default')
    assert.equal(result.source, 'keystone-b')
  })

  test('does not take roles elsewhere for roles on a project, nor have a project id', async () => {
    const key = 'alpha.kubernetes.io/identity'
    const of = async (scope: KeystoneScope): Promise<unknown> => {
      const result = await setUp({ token: keystoneSays({ scope }), scopes: TOKEN_SCOPES, groups: listed('dev') }).ask()
      assert.ok(result.kind === 'authenticated')
      assert.deepEqual(result.user.groups, ['dev'])
      return [...result.user.extra.keys()].map((name) => name.slice(key.length + 1))
    }
    const user = ['user/domain/id', 'user/domain/name']
    assert.deepEqual(await of({ kind: 'domain', ...domain }), ['domain/id', 'domain/name', 'domain/roles', ...user])
    assert.deepEqual(await of({ kind: 'system' }), ['system/roles', ...user])
    assert.deepEqual(await of({ kind: 'unscoped' }), user)
  })

  test('T-H13 may be called __proto__ in every place', async () => {
    const names = { id: '__proto__', name: '__proto__', domain: { id: '__proto__', name: '__proto__' } }
    const token = keystoneSays({ user: names, roles: ['__proto__'], scope: { ...project, ...names } })
    const result = await setUp({ token, groups: listed('__proto__') }).ask()
    assert.ok(result.kind === 'authenticated')
    assert.equal(result.user.username, '__proto__')
    assert.deepEqual(result.user.groups, ['__proto__', '__proto__'])
    assert.equal(result.user.extra.size, 5)
  })
})

describe('T-W4 what cannot be Keystone’s never reaches it', () => {
  const part = (claims: object): string => Buffer.from(JSON.stringify(claims)).toString('base64url')
  const foreign: readonly [name: string, token: string][] = [
    ['no token', ''],
    ['a bootstrap token', 'abcdef.0123456789abcdef'],
    [
      'a service-account token',
      `${part({ alg: 'RS256' })}.${part({ iss: 'https://kubernetes.default.svc', 'kubernetes.io': {} })}.c2ln`,
    ],
    [
      'a token of another issuer',
      `${part({ alg: 'ES256' })}.${part({ iss: 'https://accounts.example', openstack_methods: [] })}.c2ln`,
    ],
    ['text that no header can hold', 'größe'],
    ['two lines', 'a\r\nX-Auth-Token: b'],
    ['too much', 'x'.repeat(10_000)],
  ]
  for (const [name, token] of foreign) {
    test(name, async () => {
      const { ask, asked } = setUp()
      assert.equal(await ask(token), SKIPPED)
      assert.deepEqual(asked, [])
    })
  }

  test('a signed token of Keystone’s own does', async () => {
    const { ask, asked } = setUp()
    await ask(`${part({ alg: 'ES256' })}.${part({ sub: 'u', openstack_methods: ['password'] })}.c2ln`)
    assert.equal(asked.length, 2)
  })
})

describe('a token is refused', () => {
  const hour = 3_600_000
  const cases: readonly {
    readonly name: string
    readonly given: Given
    readonly code: string
    /** Whether groups were asked for before it was refused. */
    readonly asked?: 'groups'
    /** Whether the operator gets to know: it has to do with how the service is set up. */
    readonly told?: RegExp
  }[] = [
    { name: 'that Keystone does not know', given: { token: undefined }, code: 'token_unknown' },
    {
      name: 'that has just expired',
      given: { token: keystoneSays({ expiresAt: NOW }) },
      code: 'token_expired',
      told: /expired/,
    },
    {
      name: 'that expired long ago',
      given: { token: keystoneSays({ expiresAt: new Date(NOW.getTime() - hour) }) },
      code: 'token_expired',
      told: /expired/,
    },
    ...(
      [
        ['of a domain', { kind: 'domain', ...domain }],
        ['of the system', { kind: 'system' }],
        ['of nothing', { kind: 'unscoped' }],
      ] as const
    ).map(([scope, value]) => ({
      name: `with the scope ${scope}, unless that is let in`,
      given: { token: keystoneSays({ scope: value }) },
      code: 'scope_not_allowed',
      told: /scope/,
    })),
    {
      name: 'T-W9 with a scope nobody knows, whatever is let in',
      given: { token: keystoneSays({ scope: { kind: 'unknown', reason: 'two scopes' } }), scopes: TOKEN_SCOPES },
      code: 'scope_not_allowed',
      told: /scope/,
    },
    {
      name: 'T-W9 made in a way that is not let in',
      given: { token: keystoneSays({ methods: ['application_credential'] }), methods: ['password'] },
      code: 'method_not_allowed',
      told: /methods/,
    },
    {
      name: 'T-W9 made in several ways of which one is not let in',
      given: { token: keystoneSays({ methods: ['password', 'token'] }), methods: ['password', 'totp'] },
      code: 'method_not_allowed',
      told: /methods/,
    },
    {
      name: 'T-W9 that does not say how it was made, where that counts',
      given: { token: keystoneSays({ methods: [] }), methods: ['password'] },
      code: 'method_not_allowed',
      told: /methods/,
    },
    {
      name: 'T-W6 whose user cannot be named without doubt',
      given: {
        token: keystoneSays({ user: { id: 'u', name: 'jane', domain: { id: 'd', name: 'a@b' } } }),
        usernameFormat: usernameFormat('%n@%d'),
      },
      code: 'identity_invalid',
      told: /usernameFormat/,
    },
    {
      name: 'that was revoked before the groups were asked for',
      given: { groups: { kind: 'refused' } },
      code: 'token_unknown',
      asked: 'groups',
    },
    {
      name: 'whose user may not list the own groups',
      given: { groups: { kind: 'forbidden' } },
      code: 'groups_forbidden',
      asked: 'groups',
      told: /policy/,
    },
    {
      name: 'of a user in too many groups, none of which is left out silently',
      given: { groups: { kind: 'limit_exceeded', by: 'archway' } },
      code: 'group_limit_exceeded',
      asked: 'groups',
      told: /maxGroups/,
    },
  ]
  for (const { name, given, code, asked: last, told } of cases) {
    test(name, async () => {
      const { ask, asked, ctx } = setUp(given)
      assert.deepEqual(await ask(), { kind: 'rejected', code, source: 'keystone' })
      assert.equal(asked.length, last === 'groups' ? 2 : 1)
      assert.equal(ctx.log.lines.length, told === undefined ? 0 : 1)
      const [line] = ctx.log.lines
      if (told !== undefined) assert.match(line?.message ?? '', told)
      assert.ok(!JSON.stringify(ctx.log.lines).includes('5ca1ab1e'), 'T-S1')
    })
  }

  test('what is let in passes', async () => {
    const passes: readonly Given[] = [
      { token: keystoneSays({ expiresAt: new Date(NOW.getTime() + 1) }) },
      { token: keystoneSays({ methods: ['token', 'password'] }), methods: ['password', 'token', 'totp'] },
      { token: keystoneSays({ methods: [] }) },
      { token: keystoneSays({ scope: { kind: 'system' } }), scopes: ['system'] },
    ]
    for (const given of passes) assert.equal((await setUp(given).ask()).kind, 'authenticated')
  })

  test('the operator is told whose it was, by ids', async () => {
    const { ask, ctx } = setUp({ token: keystoneSays({ scope: { kind: 'unscoped' } }) })
    await ask()
    assert.deepEqual(ctx.log.lines, [
      {
        level: 'info',
        fields: {
          source: 'keystone',
          code: 'scope_not_allowed',
          userId: 'u-1',
          domainId: 'default',
          scope: 'unscoped',
          methods: ['password'],
        },
        message: 'token refused: its scope is not among `scopes`',
      },
    ])
  })
})

describe('T-W3 an outage is thrown as it is', () => {
  for (const given of ['token', 'groups'] as const) {
    test(`while asking for the ${given}`, async () => {
      const outage = new ArchwayError('keystone_timeout', 'slow')
      await assert.rejects(setUp({ [given]: outage }).ask(), outage)
    })
  }
})

authenticatorContract('keystoneToken', (): AuthenticatorUnderTest => {
  const good = new Map([
    [TOKEN, 'jane'],
    ['0123456789abcdef0123456789abcdef', '김철수'],
  ])
  let broken = false
  const checkUp = (): void => {
    if (broken) throw new ArchwayError('keystone_unreachable', 'no connection')
  }
  const authenticator = keystoneToken({
    identity: {
      async validateToken(token) {
        checkUp()
        const name = good.get(token)
        return name === undefined ? undefined : keystoneSays({ user: { id: `id-${name}`, name, domain } })
      },
      async listGroups() {
        checkUp()
        return listed('dev')
      },
    },
    usernameFormat: usernameFormat('%n'),
    scopes: ['project'],
    methods: [],
    now: () => NOW,
  })
  return {
    authenticator,
    good,
    breakDown() {
      broken = true
    },
  }
})
