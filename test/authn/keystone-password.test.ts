import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { inDomain, type KeystonePasswordOptions, keystonePassword } from '../../src/authn/keystone-password.ts'
import { usernameFormat } from '../../src/authn/username-format.ts'
import { ArchwayError } from '../../src/errors.ts'
import { keystoneClient, type LoggedIn, type PasswordLogin } from '../../src/keystone/identity-client.ts'
import { callContext } from '../support/context.ts'
import { keystoneError, reply, startFakeKeystone } from '../support/fake-keystone.ts'

const DEFAULT = { id: 'default' } as const

function setUp(answer: LoggedIn | undefined | Error, over: Partial<KeystonePasswordOptions> = {}) {
  const logins: PasswordLogin[] = []
  const authenticator = keystonePassword({
    name: 'keystone',
    identity: {
      async logIn(login) {
        logins.push(login)
        if (answer instanceof Error) throw answer
        return answer
      },
      listGroups: async () => ({ kind: 'listed', groups: [{ id: 'g', name: 'devs' }] }),
    },
    usernameFormat: usernameFormat('%n@%d'),
    scopes: ['project'],
    methods: [],
    now: () => new Date('2026-01-01T00:00:00Z'),
    defaultDomain: DEFAULT,
    domains: [],
    ...over,
  })
  const ask = (username: string, password: string) => authenticator.authenticate({ username, password }, callContext())
  return { ask, logins }
}

const MADE: LoggedIn = {
  token: 'gAAAAAmade',
  details: {
    user: { id: 'u', name: 'alice', domain: { id: 'default', name: 'Default' } },
    scope: { kind: 'project', id: 'p', name: 'demo', domain: { id: 'default', name: 'Default' }, isDomain: false },
    roles: ['member'],
    methods: ['password'],
    auditIds: ['a'],
    issuedAt: new Date('2026-01-01T00:00:00Z'),
    expiresAt: new Date('2026-01-01T01:00:00Z'),
    federated: false,
  },
}

describe('a Keystone password', () => {
  test('makes the identity that a token makes', async () => {
    const { ask, logins } = setUp(MADE, { project: { name: 'demo', domain: DEFAULT } })
    const result = await ask('alice', 'pw')
    assert.ok(result.kind === 'authenticated')
    assert.deepEqual([result.user.username, result.user.groups], ['alice@Default', ['devs', 'p']])
    assert.deepEqual(result.expiresAt, MADE.details.expiresAt)
    assert.deepEqual(logins, [
      { username: 'alice', domain: DEFAULT, password: 'pw', project: { name: 'demo', domain: DEFAULT } },
    ])
  })

  test('T-S3 that is refused is refused with one code, whatever the reason', async () => {
    const { ask } = setUp(undefined)
    for (const [name, password] of [
      ['alice', 'wrong'],
      ['nobody', 'pw'],
      ['', 'pw'],
      ['alice', ''],
    ] as const) {
      assert.deepEqual(await ask(name, password), { kind: 'rejected', code: 'login_failed', source: 'keystone' })
    }
  })

  test('a scope that is not let in is refused, though the password is right', async () => {
    const { ask } = setUp({ ...MADE, details: { ...MADE.details, scope: { kind: 'unscoped' } } })
    assert.deepEqual(await ask('alice', 'pw'), { kind: 'rejected', code: 'scope_not_allowed', source: 'keystone' })
  })

  test('T-W3 an outage is thrown', async () => {
    await assert.rejects(setUp(new ArchwayError('keystone_timeout', 'slow')).ask('alice', 'pw'), {
      code: 'keystone_timeout',
    })
  })

  test('T-W15 what is empty, too long or no text is not sent', async () => {
    const { ask, logins } = setUp(MADE)
    const bad = [
      ['alice', ''],
      ['', 'x'],
      ['a\0', 'x'],
      ['a', 'x\0'],
      ['\ud800', 'x'],
      ['a', '\udfff'],
      ['x'.repeat(400), 'x'],
      ['a', 'x'.repeat(5000)],
    ]
    for (const [name = '', password = ''] of bad) assert.equal((await ask(name, password)).kind, 'rejected')
    assert.deepEqual(logins, [])
  })
})

describe('the domain of a name', () => {
  const any = { domains: [], defaultDomain: DEFAULT }
  const listed = { domains: ['heat', 'Default'], defaultDomain: DEFAULT }
  const cases: readonly [string, typeof any | typeof listed, string, object][] = [
    ['alice', any, 'alice', DEFAULT],
    ['alice@heat', any, 'alice', { name: 'heat' }],
    ['heat\\alice', any, 'alice', { name: 'heat' }],
    ['alice@example.com@heat', any, 'alice@example.com', { name: 'heat' }],
    ['alice@example.com', listed, 'alice@example.com', DEFAULT],
    ['alice@heat', listed, 'alice', { name: 'heat' }],
    ['corp\\alice', listed, 'corp\\alice', DEFAULT],
    ['alice@', any, 'alice@', DEFAULT],
    ['@heat', any, '@heat', DEFAULT],
    ['\\alice', any, '\\alice', DEFAULT],
  ]
  for (const [text, options, username, domain] of cases) {
    test(JSON.stringify([text, options.domains]), () => assert.deepEqual(inDomain(text, options), { username, domain }))
  }

  test('nothing of a name is lost', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const { username, domain } = inDomain(text, any)
        const whole = 'name' in domain ? [`${username}@${domain.name}`, `${domain.name}\\${username}`] : [username]
        assert.ok(whole.includes(text))
      }),
    )
  })
})

describe('a login on the wire', () => {
  const call = callContext()
  const login: PasswordLogin = { username: 'alice', domain: { name: 'heat' }, password: 'pä"w' }

  test('T-S1 T-W3 no answer but a clean 401 is a no, and none of the errors has the password', async (t) => {
    const answers: readonly [string, Parameters<typeof reply>, string][] = [
      ['500', [500, 'oops'], 'keystone_unreachable'],
      ['404 of Keystone', [404, keystoneError(404)], 'keystone_answer_invalid'],
      ['403 of Keystone', [403, keystoneError(403)], 'keystone_answer_invalid'],
      ['401 of something else', [401, 'denied'], 'keystone_answer_invalid'],
      ['201 without a token', [201, { token: {} }], 'keystone_answer_invalid'],
    ]
    for (const [name, script, code] of answers) {
      await t.test(name, async () => {
        const keystone = await startFakeKeystone()
        t.after(() => keystone.close())
        keystone.always(reply(...script))
        const client = keystoneClient({ url: keystone.url })
        await assert.rejects(client.logIn(login, call), (error: Error) => {
          assert.equal(error instanceof ArchwayError && error.code, code)
          assert.ok(!JSON.stringify([error.message, String(error.stack)]).includes('pä'))
          return true
        })
        await client.close()
      })
    }
  })
})
