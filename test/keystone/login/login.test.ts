/** A login against a fake Keystone: what is sent, what the answer means, and that nothing secret is in any error. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ArchwayError, type ErrorCode } from '../../../src/errors.ts'
import { createKeystoneLogin } from '../../../src/keystone/login/login.ts'
import {
  type KeystoneLogin,
  LoginIncompleteError,
  type LoginMethod,
  type LoginScope,
} from '../../../src/keystone/login/login-request.ts'
import { Secret } from '../../../src/secret.ts'
import {
  endless,
  half,
  halfHead,
  hang,
  html,
  keystoneError,
  raw,
  redirect,
  reply,
  reset,
  type Script,
  startFakeKeystone,
} from '../../support/fake-keystone.ts'
import { assertNoCanary, CANARY, failure, until } from '../support.ts'
import { ALICE, DEMO, documentOf, issued, PASSWORD, setUpLogin } from './support.ts'

const secret = new Secret(CANARY)
const CHALLENGE = { 'WWW-Authenticate': 'Keystone uri="https://keystone.example/v3"' }
const refusal = reply(401, keystoneError(401, CANARY), CHALLENGE)
const DEFAULT = { scope: 'default' } as const

describe('a login', () => {
  test('is one POST, with its headers', async (t) => {
    const { keystone, login } = await setUpLogin(t, { userAgent: 'client-keystone-auth/1.0 (archway)' })
    keystone.always(issued)
    await login.issue([PASSWORD], DEMO)
    const [request, ...more] = keystone.requests
    assert.equal(more.length, 0)
    assert(request !== undefined)
    assert.equal(`${request.method} ${request.path}`, 'POST /v3/auth/tokens?nocatalog')
    const { host, accept, 'content-type': type, 'user-agent': agent, 'x-auth-token': token } = request.headers
    assert.deepEqual(
      [host, accept, type, agent, token],
      [
        new URL(keystone.url).host,
        'application/json',
        'application/json',
        'client-keystone-auth/1.0 (archway)',
        undefined,
      ],
    )
    assert.equal(request.headers['content-length'], String(Buffer.byteLength(request.body)))
    assert.deepEqual(JSON.parse(request.body), {
      auth: {
        identity: { methods: ['password'], password: { user: { ...ALICE, password: CANARY } } },
        scope: { project: { name: 'demo', domain: { name: 'Default' } } },
      },
    })
  })

  test('gives the token and what Keystone says of it', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    const domain = { id: 'default', name: 'Default' }
    const project = { id: 'p1', name: 'demo', domain }
    const roles = [
      { id: 'r1', name: 'member' },
      { id: 'r2', name: 'reader' },
    ]
    keystone.always(
      reply(201, documentOf({ project, roles, is_domain: false, catalog: [] }), { 'X-Subject-Token': CANARY }),
    )
    const { token, ...rest } = await login.issue([PASSWORD], DEMO)
    assert.equal(token.reveal(), CANARY)
    assert.deepEqual(rest, {
      expiresAt: new Date('2026-11-21T18:50:25Z'),
      expiresAtText: '2026-11-21T18:50:25.000000Z',
      methods: ['password'],
      user: { id: 'u1', name: 'alice', domain },
      project,
      system: false,
      roles: ['member', 'reader'],
    })
    assertNoCanary(token)
  })

  const scopes: readonly (readonly [string, object, object])[] = [
    ['a domain', { domain: { id: 'd1', name: 'heat' } }, { domain: { id: 'd1', name: 'heat' }, system: false }],
    ['the system', { system: { all: true } }, { system: true }],
    ['nothing', {}, { system: false }],
  ]
  for (const [name, token, expected] of scopes) {
    test(`for ${name}`, async (t) => {
      const { keystone, login } = await setUpLogin(t)
      keystone.always(reply(202, documentOf(token), { 'X-Subject-Token': 'tok' }))
      const { project, domain, system } = await login.issue([PASSWORD], DEFAULT)
      assert.deepEqual({ ...(project && { project }), ...(domain && { domain }), system }, expected)
    })
  }

  test('of any names and passwords arrives as it was given', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    keystone.always(issued)
    const text = fc.string({ unit: 'binary', maxLength: 40 }).map((value) => value.toWellFormed())
    await fc.assert(
      fc.asyncProperty(text, text, text, async (name, domain, password) => {
        const user = { name, domain: { name: domain } }
        await login.issue([{ method: 'password', user, password: new Secret(password) }], DEFAULT)
        const sent: unknown = JSON.parse(keystone.requests.at(-1)?.body ?? '')
        const proof = { user: { ...user, password } }
        assert.deepEqual(sent, { auth: { identity: { methods: ['password'], password: proof } } })
      }),
      { numRuns: 50 },
    )
  })
})

describe('a URL without version', () => {
  test('is asked for it once and first, without credentials', async (t) => {
    const { keystone } = await setUpLogin(t, { fake: { prefix: '/identity' } })
    const login = createKeystoneLogin({ url: keystone.root })
    const v3 = { id: 'v3.14', status: 'stable', links: [{ rel: 'self', href: '/identity/v3/' }] }
    keystone.script(reply(300, { versions: { values: [v3] } }), issued, issued, issued)
    await Promise.all([login.issue([PASSWORD], DEFAULT), login.issue([PASSWORD], DEFAULT)])
    await login.issue([PASSWORD], DEFAULT)
    assert.deepEqual(
      keystone.requests.map(({ method, path, body }) => [method, path, body === '']),
      [['GET', '/identity/', true], ...Array(3).fill(['POST', '/identity/v3/auth/tokens?nocatalog', false])],
    )
  })

  test('that is no Keystone gets no password', async (t) => {
    const { keystone } = await setUpLogin(t)
    const login = createKeystoneLogin({ url: keystone.root })
    keystone.always(html(503))
    await failure(login.issue([PASSWORD], DEFAULT), 'keystone_unreachable', /^GET .*answered 503/)
    keystone.always(redirect('http://elsewhere.example/'))
    await failure(
      login.issue([PASSWORD], DEFAULT),
      'keystone_answer_invalid',
      /elsewhere\.example, which is not followed/,
    )
    assert(keystone.requests.every(({ method }) => method === 'GET'))
  })

  test('that hangs ends at the deadline', async (t) => {
    const { keystone } = await setUpLogin(t)
    const login = createKeystoneLogin({ url: keystone.root, timeoutMs: 200 })
    keystone.always(hang)
    await failure(login.issue([PASSWORD], DEFAULT), 'keystone_timeout')
    await until(() => keystone.open === 0)
  })
})

/** What each call sends, for faults that all calls have in common. */
const CALLS: readonly (readonly [string, (login: KeystoneLogin) => Promise<unknown>])[] = [
  ['issue', (login) => login.issue([PASSWORD], DEMO)],
  ['federate', (login) => login.federate('idp', 'openid', secret, DEMO)],
  ['describe', (login) => login.describe(secret)],
  ['revoke', (login) => login.revoke(secret)],
]

const FAULTS: readonly (readonly [string, Script, ErrorCode, RegExp])[] = [
  ['no answer', hang, 'keystone_timeout', /within 300 ms; the request was sent and no answer came/],
  ['half a head', halfHead, 'keystone_timeout', /no answer came/],
  ['half a body, then nothing', half('hang'), 'keystone_timeout', /the answer began and did not end/],
  ['half a body, then the end', half('reset'), 'keystone_unreachable', /connection was lost/],
  ['a reset', reset, 'keystone_unreachable', /connection was lost/],
  ['the end without an answer', raw(''), 'keystone_unreachable', /connection was lost/],
  ['bytes that are not HTTP', raw(`${CANARY}\r\n\r\n`), 'keystone_answer_invalid', /not HTTP/],
  ['an upgrade', raw('HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'), 'keystone_unreachable', /lost/],
  [
    'a head without end',
    reply(201, {}, { canary: CANARY.repeat(190) }),
    'keystone_answer_invalid',
    /headers.*too long/,
  ],
  ['a body without end', endless, 'keystone_answer_invalid', /longer than 1 MiB/],
  ['400 of a web server', html(400), 'keystone_answer_invalid', /answered 400.*https: port/],
  ['400 of Keystone', reply(400, keystoneError(400, CANARY)), 'keystone_answer_invalid', /answered 400/],
  [
    '401 of a web server',
    html(401, { 'WWW-Authenticate': 'Basic realm="x"' }),
    'keystone_answer_invalid',
    /answered 401/,
  ],
  ['403 of a web server', html(403), 'keystone_answer_invalid', /answered 403/],
  ['404 of a web server', html(404), 'keystone_answer_invalid', /answered 404.*ends with \/v3/],
  ['404 with half a document', reply(404, '{"error": {"code": 404'), 'keystone_answer_invalid', /answered 404/],
  ['409 of Keystone', reply(409, keystoneError(409, CANARY)), 'keystone_answer_invalid', /answered 409/],
  ['409 of a web server', html(409), 'keystone_answer_invalid', /answered 409/],
  ['429', reply(429, keystoneError(429, CANARY)), 'keystone_busy', /answered 429/],
  ['500', reply(500, keystoneError(500, CANARY)), 'keystone_unreachable', /answered 500; look at the log.*\(req-0{8}-/],
  ['502', html(502), 'keystone_unreachable', /answered 502/],
  ['503', html(503), 'keystone_unreachable', /answered 503/],
]

for (const [call, run] of CALLS) {
  describe(`${call}: neither yes nor no is an error that says what to do (T-W3, T-S1)`, () => {
    for (const [name, script, code, text] of FAULTS) {
      test(`${name}: ${code}`, async (t) => {
        const { keystone, login } = await setUpLogin(t, code === 'keystone_timeout' ? { timeoutMs: 300 } : {})
        keystone.always(script)
        const error = await failure(run(login), code, text)
        assert.match(error.message, new RegExp(`^(GET|POST|DELETE) ${keystone.url}/`))
        assert.equal(keystone.requests.length, 1, 'nothing is sent twice')
        await until(() => keystone.open === 0)
      })
    }

    test('T-H10 a redirect is not followed', async (t) => {
      const elsewhere = await startFakeKeystone()
      t.after(() => elsewhere.close())
      const { keystone, login } = await setUpLogin(t)
      for (const status of [301, 302, 303, 307, 308]) {
        keystone.script(redirect(`${elsewhere.url}/auth/tokens?${CANARY}`, status))
        await failure(run(login), 'keystone_answer_invalid', new RegExp(`answered ${status}`))
      }
      assert.equal(elsewhere.connections, 0)
    })

    test('nothing listens: the message says where', async (t) => {
      const { keystone, login } = await setUpLogin(t)
      await keystone.close()
      await failure(run(login), 'keystone_unreachable', /nothing listens there/)
    })
  })
}

test('what Keystone itself does not take is told from what something in front of it does not', async (t) => {
  const { keystone, login } = await setUpLogin(t)
  const issue = () => login.issue([PASSWORD], DEFAULT)
  for (const status of [400, 409]) {
    keystone.script(reply(status, keystoneError(status, CANARY)), reply(status, keystoneError(401, CANARY)))
    await failure(issue(), 'keystone_answer_invalid', /Keystone does not take the request as it is; .*\(req-0{8}-/)
    await failure(issue(), 'keystone_answer_invalid', /the answer is not from the Identity API/)
  }
})

describe('a yes that is none', () => {
  const table: readonly (readonly [string, Script, RegExp])[] = [
    ['without a token', reply(201, documentOf()), /no token came with it \(X-Subject-Token\)/],
    ['with an empty token', reply(201, documentOf(), { 'X-Subject-Token': '' }), /no token came/],
    ['with two tokens', reply(201, documentOf(), { 'X-Subject-Token': [CANARY, CANARY] }), /no token came/],
    ['with a token no header can carry', reply(201, documentOf(), { 'X-Subject-Token': 'a b' }), /no token came/],
    ['as a web page', html(201, { 'X-Subject-Token': CANARY }), /the document is missing/],
    ['as half a JSON', reply(201, `{"token": {"${CANARY}"`, { 'X-Subject-Token': CANARY }), /the document is missing/],
    ['of another kind', reply(201, { canary: CANARY }, { 'X-Subject-Token': CANARY }), /token is missing/],
    ['with a key twice', reply(201, '{"token": {}, "token": {}}', { 'X-Subject-Token': CANARY }), /the document/],
    [
      'that never expires',
      reply(201, documentOf({ expires_at: null }), { 'X-Subject-Token': 't' }),
      /token\.expires_at/,
    ],
    [
      'with a local time',
      reply(201, documentOf({ expires_at: '2026-11-21T18:50:25' }), { 'X-Subject-Token': 't' }),
      /expires_at/,
    ],
    ['for nobody', reply(201, documentOf({ user: { id: 'u1' } }), { 'X-Subject-Token': 't' }), /token\.user/],
    ['with 200', reply(200, documentOf(), { 'X-Subject-Token': CANARY }), /answered 200; a login is answered with 201/],
    ['with 204', reply(204), /answered 204/],
  ]
  for (const [name, script, text] of table) {
    test(name, async (t) => {
      const { keystone, login } = await setUpLogin(t)
      keystone.always(script)
      await failure(login.issue([PASSWORD], DEFAULT), 'keystone_answer_invalid', text)
    })
  }
})

describe('a no names who was tried on what, and what may be wrong', () => {
  const user = 'user "alice" \\(domain "Default"\\)'
  const table: readonly (readonly [LoginMethod, LoginScope, string])[] = [
    [PASSWORD, DEFAULT, `Keystone refuses ${user}; it does not say why: the user or the password may be wrong`],
    [PASSWORD, DEMO, `${user} on project "demo" \\(domain "Default"\\); .*no role on it`],
    [PASSWORD, { scope: 'project', project: { id: 'p1' } }, `${user} on project id "p1"`],
    [PASSWORD, { scope: 'domain', domain: { id: 'd1' } }, `${user} on domain id "d1"; .*no such domain`],
    [PASSWORD, { scope: 'system' }, `${user} on the system; .*no role on the system`],
    [PASSWORD, { scope: 'trust', id: 't1' }, `${user} with trust "t1"; .*no such trust`],
    [{ method: 'totp', user: { id: 'u1' }, passcode: secret }, DEFAULT, 'refuses user id "u1"; .*passcode too old'],
    [{ method: 'token', token: secret }, { scope: 'unscoped' }, 'refuses the token; .*expired or been revoked'],
    [
      { method: 'application_credential', id: 'c1', secret },
      DEMO,
      'refuses the application credential with id "c1"; .*its secret',
    ],
    [
      { method: 'application_credential', name: 'k8s', user: ALICE, secret },
      DEFAULT,
      `refuses the application credential "k8s" of ${user}; `,
    ],
  ]
  for (const [method, scope, text] of table) {
    test(text, async (t) => {
      const { keystone, login } = await setUpLogin(t)
      keystone.always(refusal)
      const error = await failure(login.issue([method], scope), 'login_refused', new RegExp(text))
      assert.match(error.message, /answered 401.*\(req-0{8}-/)
    })
  }

  for (const status of [403, 404]) {
    test(`${status} of Keystone is a no as well`, async (t) => {
      const { keystone, login } = await setUpLogin(t)
      keystone.always(reply(status, keystoneError(status, CANARY)))
      await failure(login.issue([PASSWORD], DEMO), 'login_refused', new RegExp(`answered ${status}; Keystone refuses`))
    })
  }

  test('a method that Keystone does not know is named, with those it knows', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    const identity = { methods: ['password', 'token'] }
    keystone.always(reply(401, { error: { code: 401, message: CANARY, identity } }))
    const totp: LoginMethod = { method: 'totp', user: ALICE, passcode: secret }
    await failure(
      login.issue([PASSWORD, totp], DEFAULT),
      'login_refused',
      /does not know the method totp, only password, token/,
    )
  })

  test('names cannot move the cursor or turn the line around', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    keystone.always(refusal)
    const user = { name: 'a\u001b[2J\r\n\u202e"b', domain: { id: 'default' } }
    const error = await failure(
      login.issue([{ ...PASSWORD, method: 'password', user, password: secret }], DEFAULT),
      'login_refused',
    )
    assert(error.message.includes('user "a?[2J???\\"b" (domain id "default")'), error.message)
  })
})

describe('multi-factor authentication', () => {
  const receipt = { 'Openstack-Auth-Receipt': CANARY }
  const wanted = (rules: unknown, done: unknown = ['password']) =>
    reply(401, { receipt: { methods: done, user: {} }, required_auth_methods: rules }, receipt)

  async function incomplete(promise: Promise<unknown>, text: RegExp): Promise<LoginIncompleteError> {
    const error = await failure(promise, 'login_incomplete', text)
    assert(error instanceof LoginIncompleteError)
    assert.equal(error.receipt.reveal(), CANARY)
    return error
  }

  test('names the methods that are missing, for each way to go on', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    keystone.always(
      wanted([
        ['password', 'totp'],
        ['password', 'token', 'custom'],
      ]),
    )
    const text = /knows user "alice" \(domain "Default"\) and wants totp, or token and custom as well/
    const { missing } = await incomplete(login.issue([PASSWORD], DEFAULT), text)
    assert.deepEqual(missing, [['totp'], ['token', 'custom']])
  })

  for (const [name, script] of [
    ['that Keystone does not name', wanted([])],
    ['in a form nobody knows', wanted({ canary: CANARY })],
    ['with names that are none', wanted([['password', `${CANARY} \u001b[2J`]])],
    ['in a web page', html(401, receipt)],
  ] as const) {
    test(`methods ${name} are another proof`, async (t) => {
      const { keystone, login } = await setUpLogin(t)
      keystone.always(script)
      const { missing } = await incomplete(login.issue([PASSWORD], DEFAULT), /wants another proof as well/)
      assert.deepEqual(missing, [])
    })
  }

  test('is finished with the receipt and what is missing', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    keystone.script(wanted([['password', 'totp']]), issued)
    const error = await incomplete(login.issue([PASSWORD], DEFAULT), /totp/)
    const totp: LoginMethod = { method: 'totp', user: ALICE, passcode: new Secret('123456') }
    await login.issue([totp], DEFAULT, { receipt: error.receipt })
    const [first, second] = keystone.requests
    assert.equal(first?.headers['openstack-auth-receipt'], undefined)
    assert.equal(second?.headers['openstack-auth-receipt'], CANARY)
    assert.doesNotMatch(second?.body ?? '', /canary/)
  })

  test('a receipt that no header can carry is refused before anything is sent', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    const bad = new Secret('canary\r\nX-Auth-Token: x')
    await failure(login.issue([PASSWORD], DEFAULT, { receipt: bad }), 'credential_settings_invalid', /receipt/)
    assert.equal(keystone.connections, 0)
  })
})

describe('federation', () => {
  test('is a POST with the access token; by default the token stays unscoped', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    keystone.always(issued)
    for (const scope of [DEFAULT, { scope: 'unscoped' }] as const)
      await login.federate('my/idp ü', 'openid', secret, scope)
    assert.deepEqual(
      keystone.requests.map(({ method, path, headers, body }) => [method, path, headers.authorization, body]),
      Array(2).fill([
        'POST',
        '/v3/OS-FEDERATION/identity_providers/my%2Fidp%20%C3%BC/protocols/openid/auth',
        `Bearer ${CANARY}`,
        '',
      ]),
    )
  })

  test('is scoped by a second login with the unscoped token', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    keystone.script(reply(201, documentOf(), { 'X-Subject-Token': 'unscoped' }), issued)
    const { token } = await login.federate('idp', 'openid', secret, DEMO)
    assert.equal(token.reveal(), CANARY)
    const [, second] = keystone.requests
    assert.equal(second?.headers.authorization, undefined)
    assert.deepEqual(JSON.parse(second?.body ?? ''), {
      auth: {
        identity: { methods: ['token'], token: { id: 'unscoped' } },
        scope: { project: { name: 'demo', domain: { name: 'Default' } } },
      },
    })
  })

  test('has one deadline for both', async (t) => {
    const { keystone, login } = await setUpLogin(t, { timeoutMs: 500 })
    keystone.script(issued, hang)
    await failure(login.federate('idp', 'openid', secret, DEMO), 'keystone_timeout', /OS-FEDERATION.*within 500 ms/)
  })

  const refusals: readonly (readonly [string, Script])[] = [
    ['Keystone', refusal],
    ['Keystone, which does not know the provider', reply(404, keystoneError(404, CANARY))],
    ['Keystone, where the issuer is another', reply(403, keystoneError(403, CANARY))],
    [
      'the module in front of it',
      html(401, { 'WWW-Authenticate': `Bearer error="invalid_token", canary="${CANARY}"` }),
    ],
  ]
  for (const [name, script] of refusals) {
    test(`is refused by ${name}`, async (t) => {
      const { keystone, login } = await setUpLogin(t)
      keystone.always(script)
      const text = /refuses the access token for identity provider "idp", protocol "openid"; /
      await failure(login.federate('idp', 'openid', secret, DEMO), 'login_refused', text)
    })
  }

  test('a page to log in is no answer to an access token', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    keystone.always(redirect('https://idp.example/authorize'))
    await failure(login.federate('idp', 'openid', secret, DEMO), 'keystone_answer_invalid', /takes no access tokens/)
  })

  test('a refusal of the scope says so', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    keystone.script(issued, refusal)
    await failure(login.federate('idp', 'openid', secret, DEMO), 'login_refused', /the token on project "demo"/)
  })

  test('what cannot stand in the address or the header is refused before anything is sent', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    const code = 'credential_settings_invalid'
    for (const name of ['', '.', '..', '\ud800']) {
      await failure(login.federate(name, 'openid', secret, DEMO), code, /identity provider cannot/)
      await failure(login.federate('idp', name, secret, DEMO), code, /protocol cannot/)
    }
    for (const value of ['', 'canary\r\nx: y', 'canary x', 'canaryü']) {
      await failure(login.federate('idp', 'openid', new Secret(value), DEMO), code, /access token is empty, or has/)
    }
    assert.equal(keystone.connections, 0)
  })
})

describe('a token asked about with itself', () => {
  test('is described as it was issued', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    const token = keystone.issue({ project: 'demo', roles: ['member'] })
    const found = await login.describe(new Secret(token))
    assert.deepEqual([found?.token.reveal(), found?.project?.name, found?.roles], [token, 'demo', ['member']])
    const [request] = keystone.requests
    assert.equal(request?.path, '/v3/auth/tokens?nocatalog')
    assert.equal(request?.headers['x-auth-token'], token)
    assert.equal(request?.headers['x-subject-token'], token)
  })

  test('is undefined once it is not good, by a 401 or a 404', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    assert.equal(await login.describe(secret), undefined)
    keystone.script(reply(404, keystoneError(404, CANARY)))
    assert.equal(await login.describe(secret), undefined)
    assert.equal(await login.describe(new Secret('no token\r\n')), undefined)
    assert.equal(keystone.requests.length, 2)
  })

  test('is revoked, and a second time without complaint', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    const token = new Secret(keystone.issue())
    await login.revoke(token)
    assert.equal(await login.describe(token), undefined)
    await login.revoke(token)
    keystone.script(reply(404, keystoneError(404)))
    await login.revoke(token)
    await login.revoke(new Secret('no token\r\n'))
    assert.deepEqual(
      keystone.requests.map(({ method }) => method),
      ['DELETE', 'GET', 'DELETE', 'DELETE'],
    )
  })

  test('403 is not a no: the token is good, and may not ask', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    keystone.always(reply(403, keystoneError(403, CANARY)))
    await failure(login.describe(secret), 'keystone_answer_invalid', /forbids this token to ask about itself/)
    await failure(login.revoke(secret), 'keystone_answer_invalid', /forbids this token/)
  })

  test('an answer about another token is refused', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    for (const subject of [`x${CANARY}`, `${CANARY.slice(0, -1)}x`]) {
      keystone.script(reply(200, documentOf(), { 'X-Subject-Token': subject }))
      await failure(login.describe(secret), 'keystone_answer_invalid', /about another token; does a cache/)
    }
  })

  test('a revocation that is answered with something else is an error', async (t) => {
    const { keystone, login } = await setUpLogin(t)
    keystone.always(reply(200, documentOf()))
    await failure(login.revoke(secret), 'keystone_answer_invalid', /answered with 204/)
  })
})

test('closing gives up what is under way, and what comes later', async (t) => {
  const { keystone, login } = await setUpLogin(t)
  keystone.always(hang)
  const asked = login.issue([PASSWORD], DEFAULT)
  await until(() => keystone.inFlight.now === 1)
  const refused = failure(asked, 'stopping')
  await login.close()
  await refused
  await until(() => keystone.open === 0)
  await failure(login.describe(secret), 'stopping')
  assert.equal(keystone.requests.length, 1)
})

test('settings that cannot work are refused at once', () => {
  const refused = (code: ErrorCode) => (error: unknown) => error instanceof ArchwayError && error.code === code
  assert.throws(() => createKeystoneLogin({ url: 'keystone.example' }), refused('config_invalid'))
  const url = 'https://keystone.example/v3'
  for (const userAgent of ['', 'a\r\nX-Auth-Token: b', 'ü']) {
    assert.throws(() => createKeystoneLogin({ url, userAgent }), refused('credential_settings_invalid'))
  }
  const env = { HTTPS_PROXY: 'socks5://proxy:1080' }
  assert.throws(() => createKeystoneLogin({ url, env }), refused('credential_settings_invalid'))
})
