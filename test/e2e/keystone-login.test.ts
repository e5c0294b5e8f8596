/** Every way into a real Keystone. */
import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import { createServer, request as newRequest } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createKeystoneLogin } from '../../src/keystone/login/login.ts'
import {
  type KeystoneLogin,
  LoginIncompleteError,
  type LoginMethod,
  type LoginScope,
} from '../../src/keystone/login/login-request.ts'
import { Secret } from '../../src/secret.ts'
import { failure } from '../keystone/support.ts'
import { runInTerminal } from '../support/pty.ts'
import { type KeystoneRig, keystoneRig, startKeystone } from '../support/rigs.ts'
import { createAuthority, createFolder } from '../support/tls.ts'

const ARCHWAY = fileURLToPath(new URL('../../bin/archway', import.meta.url))
const DEFAULT = { name: 'Default' }
const DEMO = { scope: 'project', project: { name: 'demo', domain: DEFAULT } } as const

function password(name: string, value = `${name}-pw`, domain = 'Default'): LoginMethod {
  return { method: 'password', user: { name, domain: { name: domain } }, password: new Secret(value) }
}

function loginTo(url: string, caFile?: string): KeystoneLogin {
  return createKeystoneLogin({ url, timeoutMs: 60_000, ...(caFile === undefined ? {} : { caFile }) })
}

describe('the shared Keystone lets in', () => {
  let rig: KeystoneRig
  let login: KeystoneLogin
  before(async () => {
    rig = await keystoneRig()
    login = loginTo(rig.url)
  })

  test('a user by name, on a project by name', async () => {
    const issued = await login.issue([password('alice')], DEMO)
    assert.deepEqual(issued.user, {
      id: rig.ids.users['alice'],
      name: 'alice',
      domain: { id: 'default', name: 'Default' },
    })
    assert.deepEqual(issued.project, {
      id: rig.ids.projects['demo'],
      name: 'demo',
      domain: { id: 'default', name: 'Default' },
    })
    assert.deepEqual([...issued.roles].sort(), ['load-balancer_member', 'member', 'reader'])
    assert.deepEqual([issued.methods, issued.system, issued.domain], [['password'], false, undefined])
    assert.match(issued.expiresAtText, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    assert.equal(issued.expiresAt.getTime(), Date.parse(issued.expiresAtText))
    assert.equal((await rig.api('GET', '/auth/projects', undefined, issued.token.reveal())).status, 200)
  })

  test('a user by id, on a project by id', async () => {
    const { users, projects } = rig.ids
    const method = {
      ...password('alice'),
      method: 'password',
      user: { id: users['alice'] ?? '' },
      password: new Secret('alice-pw'),
    } as const
    const issued = await login.issue([method], { scope: 'project', project: { id: projects['demo'] ?? '' } })
    assert.deepEqual([issued.user.name, issued.project?.name], ['alice', 'demo'])
  })

  test('a user of another domain of the same name', async () => {
    const domain = { name: 'heat' }
    const issued = await login.issue([password('bob', 'heat-bob-pw', 'heat')], {
      scope: 'project',
      project: { name: 'demo', domain },
    })
    assert.deepEqual([issued.user.id, issued.user.domain.name], [rig.ids.users['heat/bob'], 'heat'])
  })

  test('a user without a scope, by default and by wish', async () => {
    for (const scope of [{ scope: 'default' }, { scope: 'unscoped' }] as const) {
      const issued = await login.issue([password('dave')], scope)
      assert.deepEqual([issued.project, issued.roles, issued.system], [undefined, [], false])
    }
  })

  const scopes: readonly (readonly [string, LoginScope])[] = [
    ['a domain by name', { scope: 'domain', domain: DEFAULT }],
    ['a domain by id', { scope: 'domain', domain: { id: 'default' } }],
  ]
  for (const [name, scope] of scopes) {
    test(`an administrator of ${name}`, async () => {
      const issued = await login.issue([password('admin', 'admin')], scope)
      assert.deepEqual([issued.domain, issued.project], [{ id: 'default', name: 'Default' }, undefined])
      assert(issued.roles.includes('admin'))
    })
  }

  test('an administrator of the system', async () => {
    const issued = await login.issue([password('admin', 'admin')], { scope: 'system' })
    assert.deepEqual([issued.system, issued.project, issued.domain], [true, undefined, undefined])
  })

  test('an application credential by id, and by name, whatever scope is asked for', async () => {
    const { id, name, secret: value } = rig.applicationCredential
    const secret = new Secret(value)
    const user = { name: 'alice', domain: DEFAULT }
    for (const credential of [{ id }, { name, user }]) {
      for (const scope of [{ scope: 'default' }, DEMO] as const) {
        const issued = await login.issue([{ method: 'application_credential', ...credential, secret }], scope)
        assert.deepEqual([issued.methods, issued.project?.name], [['application_credential'], 'demo'])
      }
    }
  })

  test('a token, for another scope', async () => {
    const { token } = await login.issue([password('alice')], { scope: 'unscoped' })
    const issued = await login.issue([{ method: 'token', token }], DEMO)
    assert.deepEqual([issued.user.name, issued.project?.name], ['alice', 'demo'])
    assert.deepEqual([...issued.methods].sort(), ['password', 'token'])
  })

  test('whoever gives its address without /v3, or with more', async () => {
    for (const url of [rig.url.replace(/\/v3$/, ''), rig.url.replace(/v3$/, ''), `${rig.url}/auth/tokens`]) {
      assert.equal((await loginTo(url).issue([password('bob')], DEMO)).user.name, 'bob')
    }
  })
})

describe('the shared Keystone refuses, and the message says whom', () => {
  const secret = new Secret('canary')
  const user = { name: 'alice', domain: DEFAULT }
  const table: readonly (readonly [string, LoginMethod, LoginScope, RegExp])[] = [
    ['a wrong password', password('alice', 'canary'), DEMO, /answered 401; .*user "alice".*on project "demo".*\(req-/],
    ['an unknown user', password('nobody', 'canary'), DEMO, /answered 401; .*"nobody"/],
    ['an unknown domain', password('alice', 'canary', 'nowhere'), DEMO, /answered 401; .*domain "nowhere"/],
    ['a disabled user', password('mallory'), DEMO, /answered 401; .*"mallory".*disabled/],
    ['a user without a role on the project', password('dave'), DEMO, /answered 401; .*no role on it/],
    [
      'a user without a role on the system',
      password('alice'),
      { scope: 'system' },
      /answered 401; .*no role on the system/,
    ],
    ['a user without a role on the domain', password('alice'), { scope: 'domain', domain: DEFAULT }, /answered 401/],
    ['a trust that is none', password('bob'), { scope: 'trust', id: 'none' }, /answered 401; .*no such trust/],
    ['a token that is none', { method: 'token', token: secret }, DEMO, /answered 40[14]; .*refuses the token/],
    ['a passcode nobody has', { method: 'totp', user, passcode: secret }, DEMO, /answered 401; .*passcode/],
    [
      'a wrong application credential',
      { method: 'application_credential', id: 'none', secret },
      DEMO,
      /answered 40[14]; .*id "none"/,
    ],
  ]
  for (const [name, method, scope, text] of table) {
    test(name, async () => {
      const rig = await keystoneRig()
      await failure(loginTo(rig.url).issue([method], scope), 'login_refused', text)
    })
  }

  test('a wrong secret of an application credential, and another scope for its token', async () => {
    const rig = await keystoneRig()
    const { id, secret: value } = rig.applicationCredential
    const credential = { method: 'application_credential', id } as const
    await failure(loginTo(rig.url).issue([{ ...credential, secret }], DEMO), 'login_refused', /answered 401/)
    const { token } = await loginTo(rig.url).issue([{ ...credential, secret: new Secret(value) }], DEMO)
    await failure(loginTo(rig.url).issue([{ method: 'token', token }], DEMO), 'login_refused', /answered 403/)
  })

  test('what it cannot even look up is neither yes nor no', async () => {
    const rig = await keystoneRig()
    for (const method of [password('', 'canary'), { method: 'application_credential', id: '', secret } as const]) {
      const text = /answered 400; Keystone does not take the request/
      await failure(loginTo(rig.url).issue([method], DEMO), 'keystone_answer_invalid', text)
    }
  })
})

describe('a token of the shared Keystone', () => {
  test('is described, revoked, and then no more', async () => {
    const rig = await keystoneRig()
    const login = loginTo(rig.url)
    const issued = await login.issue([password('alice')], DEMO)
    const described = await login.describe(issued.token)
    const roles = (list: readonly string[] = []) => [...list].sort()
    assert.deepEqual({ ...described, roles: roles(described?.roles) }, { ...issued, roles: roles(issued.roles) })
    await login.revoke(issued.token)
    assert.equal(await login.describe(issued.token), undefined)
    await login.revoke(issued.token)
  })

  test('that never was one is not described, and revoking it is no error', async () => {
    const rig = await keystoneRig()
    const login = loginTo(rig.url)
    for (const token of ['gAAAAABcanary', 'canary']) {
      assert.equal(await login.describe(new Secret(token)), undefined)
      await login.revoke(new Secret(token))
    }
  })
})

describe('a Keystone of its own', () => {
  let rig: KeystoneRig
  let login: KeystoneLogin
  const id = (kind: 'users' | 'projects' | 'groups' | 'roles', name: string) => rig.ids[kind][name] ?? assert.fail(name)
  before(async () => {
    rig = await startKeystone()
    login = loginTo(rig.url)
  })
  after(() => rig?.[Symbol.asyncDispose]())

  /** Any call that has to work; what it made. */
  async function api(method: string, path: string, body?: object, token?: string) {
    const answer = await rig.api(method, path, body, token)
    assert(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  test('lets the trustee of a trust in, with and without impersonation', async () => {
    const alice = (await login.issue([password('alice')], DEMO)).token.reveal()
    const made = async (impersonation: boolean): Promise<string> => {
      const trust = {
        trustor_user_id: id('users', 'alice'),
        trustee_user_id: id('users', 'bob'),
        project_id: id('projects', 'demo'),
        roles: [{ name: 'member' }],
        impersonation,
      }
      return (await api('POST', '/OS-TRUST/trusts', { trust }, alice)).trust.id
    }
    const scope = async (impersonation: boolean) => ({ scope: 'trust', id: await made(impersonation) }) as const

    const own = await login.issue([password('bob')], await scope(false))
    assert.deepEqual([own.user.name, own.project?.name], ['bob', 'demo'])
    assert(own.roles.includes('member'), 'which bob has by the trust alone')
    assert.equal((await login.describe(own.token))?.user.name, 'bob')

    const asAlice = await login.issue([password('bob')], await scope(true))
    assert.deepEqual([asAlice.user.name, asAlice.project?.name], ['alice', 'demo'])
    await failure(login.describe(asAlice.token), 'keystone_answer_invalid', /answered 403; .*of a trust/)

    await failure(
      login.issue([password('carol')], await scope(false)),
      'login_refused',
      /answered 40[13]; .*somebody else/,
    )
  })

  test('asks for a passcode where a rule of the user wants one', async (t) => {
    const seed = randomBytes(20)
    const user_id = id('users', 'bob')
    await api('POST', '/credentials', { credential: { type: 'totp', blob: base32(seed), user_id } })
    const user = { name: 'bob', domain: DEFAULT }
    const totp = (passcode = passcodeOf(seed, Date.now())): LoginMethod => ({
      method: 'totp',
      user,
      passcode: new Secret(passcode),
    })
    const wrong = totp('wrong')

    assert.deepEqual((await login.issue([totp()], DEMO)).methods, ['totp'])
    assert.deepEqual([...(await login.issue([password('bob'), totp()], DEMO)).methods].sort(), ['password', 'totp'])

    const options = { multi_factor_auth_enabled: true, multi_factor_auth_rules: [['password', 'totp']] }
    await api('PATCH', `/users/${user_id}`, { user: { options } })
    const text = /knows user "bob" \(domain "Default"\) and wants totp as well/
    const incomplete = await failure(login.issue([password('bob')], DEMO), 'login_incomplete', text)
    assert(incomplete instanceof LoginIncompleteError)
    assert.deepEqual(incomplete.missing, [['totp']])
    const other = await failure(login.issue([totp()], DEMO), 'login_incomplete', /wants password as well/)
    assert(other instanceof LoginIncompleteError)

    const both = await login.issue([password('bob'), totp()], DEMO)
    assert.deepEqual([[...both.methods].sort(), both.project?.name], [['password', 'totp'], 'demo'])
    const finished = await login.issue([totp()], DEMO, { receipt: incomplete.receipt })
    assert.deepEqual([finished.user.name, [...finished.methods].sort()], ['bob', ['password', 'totp']])

    const home = await createFolder()
    t.after(() => home.remove())
    const env = {
      HOME: home.path('.'),
      OS_AUTH_URL: rig.url,
      OS_USERNAME: 'bob',
      OS_PASSWORD: 'bob-pw',
      OS_PROJECT_NAME: 'demo',
      OS_DOMAIN_NAME: 'Default',
    }
    const asked = await runInTerminal(process.execPath, [ARCHWAY, 'credential'], {
      env,
      answers: [{ on: /Please enter passcode: /, send: `${passcodeOf(seed, Date.now())}\r` }],
    })
    assert.equal(asked.status, 0, asked.screen)
    assert.match(asked.stdout, /"token": "/)

    const refused = /answered 401; .*user "bob".*passcode/
    await failure(login.issue([password('bob'), wrong], DEMO), 'login_refused', refused)
    await failure(login.issue([wrong], DEMO, { receipt: incomplete.receipt }), 'login_refused', refused)
    await failure(login.issue([password('alice')], DEMO, { receipt: other.receipt }), 'login_refused', /"alice"/)
  })

  test('takes an access token for what its identity provider says, and scopes what comes of it', async (t) => {
    const issuer = 'https://sso.example'
    const remote = [{ type: 'HTTP_OIDC_PREFERRED_USERNAME' }, { type: 'HTTP_OIDC_ISS', any_one_of: [issuer] }]
    const local = [{ user: { name: '{0}' } }, { group: { id: id('groups', 'k8s-ops') } }]
    await api('PUT', '/OS-FEDERATION/mappings/sso', { mapping: { rules: [{ local, remote }] } })
    await api('PUT', '/OS-FEDERATION/identity_providers/sso', {
      identity_provider: { enabled: true, remote_ids: [issuer] },
    })
    await api('PUT', '/OS-FEDERATION/identity_providers/sso/protocols/openid', {
      protocol: { mapping_id: 'sso', remote_id_attribute: 'HTTP_OIDC_ISS' },
    })
    await api(
      'PUT',
      `/projects/${id('projects', 'ops')}/groups/${id('groups', 'k8s-ops')}/roles/${id('roles', 'reader')}`,
    )
    const front = await startFront(rig.url, {
      good: { iss: issuer, 'preferred-username': 'erin' },
      foreign: { iss: 'https://elsewhere.example', 'preferred-username': 'erin' },
      nameless: { iss: issuer },
    })
    t.after(() => front.close())
    const federated = loginTo(front.url)
    const good = new Secret('good')

    for (const scope of [{ scope: 'default' }, { scope: 'unscoped' }] as const) {
      const unscoped = await federated.federate('sso', 'openid', good, scope)
      assert.deepEqual([unscoped.user.name, unscoped.project, unscoped.methods], ['erin', undefined, ['openid']])
      assert.equal((await login.describe(unscoped.token))?.user.name, 'erin')
    }
    const ops = { scope: 'project', project: { name: 'ops', domain: DEFAULT } } as const
    const scoped = await federated.federate('sso', 'openid', good, ops)
    assert.deepEqual([scoped.user.name, scoped.project?.name, scoped.roles], ['erin', 'ops', ['reader']])

    await failure(federated.federate('sso', 'openid', good, DEMO), 'login_refused', /the token on project "demo"/)
    const who = /answered (\d+); Keystone refuses the access token for identity provider "\w+", protocol "\w+"/
    await failure(federated.federate('sso', 'openid', new Secret('canary'), ops), 'login_refused', who)
    await failure(federated.federate('sso', 'openid', new Secret('foreign'), ops), 'login_refused', who)
    await failure(federated.federate('sso', 'openid', new Secret('nameless'), ops), 'login_refused', who)
    await failure(federated.federate('none', 'openid', good, ops), 'login_refused', who)
    await failure(federated.federate('sso', 'mapped', good, ops), 'login_refused', who)
    await api('PATCH', '/OS-FEDERATION/identity_providers/sso', { identity_provider: { enabled: false } })
    await failure(federated.federate('sso', 'openid', good, ops), 'login_refused', who)
  })
})

test('a Keystone with TLS gets the password only where its authority is the one in caFile', async (t) => {
  const rig = await startKeystone({ tls: true })
  t.after(() => rig[Symbol.asyncDispose]())
  assert.equal((await loginTo(rig.url, rig.caFile).issue([password('alice')], DEMO)).user.name, 'alice')
  const before = await rig.countRequests(/^POST /)
  const folder = await createFolder()
  t.after(() => folder.remove())
  const other = await folder.write('other.crt', (await createAuthority('Other')).cert)
  await failure(
    loginTo(rig.url, other).issue([password('alice')], DEMO),
    'keystone_unreachable',
    /authorities in the CA file/,
  )
  await failure(
    loginTo(rig.url).issue([password('alice')], DEMO),
    'keystone_unreachable',
    /name the authority with --cacert/,
  )
  assert.equal(await rig.countRequests(/^POST /), before)
})

/** RFC 4648, section 6, without padding. */
function base32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const digits = bits.match(/.{1,5}/g) ?? []
  return digits.map((digit) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(digit.padEnd(5, '0'), 2)]).join('')
}

/** RFC 6238 with the usual six digits, 30 seconds and SHA-1. */
function passcodeOf(seed: Buffer, atMs: number): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(atMs / 30_000)))
  const mac = createHmac('sha1', seed).update(counter).digest()
  const offset = (mac.at(-1) ?? 0) & 0x0f
  return String((mac.readUInt32BE(offset) & 0x7fff_ffff) % 1_000_000).padStart(6, '0')
}

/**
 * Stands in for the OpenID Connect module of the web server in front of Keystone: takes the access tokens it knows for
 * their claims, which Keystone reads from headers, and lets nobody send such headers himself.
 */
async function startFront(keystone: string, known: Readonly<Record<string, Readonly<Record<string, string>>>>) {
  const { origin } = new URL(keystone)
  const server = createServer((request, response) => {
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !name.startsWith('oidc')))
    if (request.url?.startsWith('/v3/OS-FEDERATION/identity_providers/')) {
      const token = /^Bearer (\w+)$/.exec(headers['authorization']?.toString() ?? '')?.[1] ?? ''
      const claims = Object.hasOwn(known, token) ? known[token] : undefined
      if (claims === undefined) {
        response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"', 'Content-Type': 'text/html' })
        response.end('<h1>401 Unauthorized</h1>')
        return
      }
      for (const [name, value] of Object.entries(claims)) headers[`oidc-${name}`] = value
    }
    const options = { method: request.method ?? '', headers }
    const onward = newRequest(`${origin}${request.url}`, options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    onward.on('error', () => response.destroy())
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert(typeof address === 'object' && address !== null)
  return {
    url: `http://127.0.0.1:${address.port}/v3`,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
