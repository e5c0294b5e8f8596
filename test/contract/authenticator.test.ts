/**
 * The contract, over every authenticator that has no such run beside its own tests (OIDC, LDAP, Keystone tokens, those of
 * the API server, mapping).
 */

import { createHash, X509Certificate } from 'node:crypto'
import { audienceBound } from '../../src/authn/audiences.ts'
import {
  type AuthnResult,
  type PasswordAuthenticator,
  SKIPPED,
  type TokenAuthenticator,
} from '../../src/authn/authenticator.ts'
import { cached, cachedPassword } from '../../src/authn/cached.ts'
import { identityGate } from '../../src/authn/identity-gate.ts'
import { keyedDigest } from '../../src/authn/keyed-digest.ts'
import { keystonePassword } from '../../src/authn/keystone-password.ts'
import { passwordFile } from '../../src/authn/password-file/password-file.ts'
import { DEFAULT_POLICY } from '../../src/authn/protection/counters.ts'
import { memoryCounters } from '../../src/authn/protection/memory-counters.ts'
import { protectedLogin } from '../../src/authn/protection/protected-login.ts'
import { slots } from '../../src/authn/protection/slots.ts'
import { requestAuthenticator } from '../../src/authn/request/request-authenticator.ts'
import { requestHeader } from '../../src/authn/request/request-header.ts'
import { tokenFile } from '../../src/authn/token-file.ts'
import { union } from '../../src/authn/union.ts'
import { usernameFormat } from '../../src/authn/username-format.ts'
import { frontProxyVerifier } from '../../src/authn/x509/front-proxy.ts'
import { x509 } from '../../src/authn/x509/x509.ts'
import { ArchwayError } from '../../src/errors.ts'
import { keystoneClient } from '../../src/keystone/identity-client.ts'
import { authenticated, fakeAuthenticator, userInfo } from '../authn/support.ts'
import { LATER, memoryFiles, recordingLog } from '../reload/support.ts'
import { startFakeKeystone } from '../support/fake-keystone.ts'
import { createAuthority, type TestAuthority } from '../support/tls.ts'
import { certificatesAsTokens, frontProxiesAsTokens, passwordsAsTokens } from './as-tokens.ts'
import { type AuthenticatorUnderTest, authenticatorContract } from './authenticator.ts'

const people = new Map([
  ['gAAAAAtoken-of-jane', 'jane'],
  ['t\ufffd', 'replaced'],
  ['token-of-김', '김철수'],
])
const outage = new ArchwayError('keystone_unreachable', 'no connection')

/** A source that knows these people, refuses everybody else, and can break down. */
function source(
  known: ReadonlyMap<string, string> = people,
  unknown?: AuthnResult,
): AuthenticatorUnderTest & { inner: TokenAuthenticator } {
  let broken = false
  const inner = fakeAuthenticator((token) => {
    if (broken) throw outage
    const username = known.get(token)
    if (username !== undefined) return authenticated({ user: userInfo({ username }) })
    return unknown ?? { kind: 'rejected', code: 'token_unknown', source: 'fake' }
  })
  const breakDown = (): void => {
    broken = true
  }
  return { inner, authenticator: inner, good: known, breakDown }
}

authenticatorContract(
  'tokenFile',
  async () => {
    const content = [...people].map(([token, name]) => `"${token}",${name},uid-of-${name},"a,b"\n`).join('')
    const reads = memoryFiles({ '/tokens.csv': content })
    const authenticator = await tokenFile({
      path: '/tokens.csv',
      log: recordingLog(),
      intervalMs: 0,
      now: () => LATER,
      reads,
    })
    return { authenticator, good: people, close: () => authenticator.close() }
  },
  { asksNobody: true },
)

authenticatorContract('cached', () => {
  const { inner, ...given } = source()
  const options = { ttlMs: 60_000, negativeTtlMs: 60_000, entries: 1000, lookupTimeoutMs: 60_000 }
  return { ...given, authenticator: cached(inner, options) }
})

authenticatorContract('cached that remembers nothing', () => {
  const { inner, ...given } = source()
  return { ...given, authenticator: cached(inner, { ttlMs: 0, negativeTtlMs: 0, entries: 1, lookupTimeoutMs: 60_000 }) }
})

authenticatorContract('union', () => {
  const [first, ...others] = people
  const one = source(new Map(first === undefined ? [] : [first]), SKIPPED)
  const two = source(new Map(others))
  const breakDown = (): void => {
    one.breakDown?.()
    two.breakDown?.()
  }
  return { authenticator: union([one.inner, two.inner]), good: people, breakDown }
})

authenticatorContract('identityGate', () => {
  const { inner, ...given } = source()
  const rules = { usernamePrefix: 'os:', groupPrefix: '', reservedGroups: 'drop', allowReserved: [] } as const
  const good = new Map([...people].map(([token, name]) => [token, `os:${name}`]))
  return { ...given, good, authenticator: identityGate(inner, rules) }
})

authenticatorContract('audienceBound', () => {
  const { inner, ...given } = source()
  return { ...given, authenticator: audienceBound(inner, ['api']) }
})

async function keystonePasswords(): Promise<AuthenticatorUnderTest> {
  const session = { project: 'demo', expiresAt: new Date(Date.now() + 3_600_000) }
  const users = { alice: { password: 'alice:pw', ...session }, 김철수: { password: '비밀번호', ...session } }
  const fake = await startFakeKeystone({ users })
  const client = keystoneClient({ url: fake.url })
  const authenticator = keystonePassword({
    name: 'keystone',
    identity: client,
    usernameFormat: usernameFormat('%n'),
    scopes: ['project'],
    methods: [],
    now: () => new Date(),
    defaultDomain: { id: 'default' },
    domains: ['default'],
  })
  return {
    authenticator: passwordsAsTokens(authenticator),
    good: new Map(Object.entries(users).map(([name, { password }]) => [`${name}:${password}`, name])),
    unknown: 'alice:wrong',
    breakDown: () => fake.always((request) => void request.socket.destroy()),
    async close() {
      await client.close()
      await fake.close()
    },
  }
}

authenticatorContract('keystonePassword', keystonePasswords)

/** A source of passwords, and what wraps it. */
function passwordSource(wrap: (inner: PasswordAuthenticator) => PasswordAuthenticator): AuthenticatorUnderTest {
  const passwords = new Map([...people].map(([password, name]) => [`${name}:${password}`, name]))
  const { inner, ...given } = source(passwords)
  const whole = wrap({
    name: inner.name,
    authenticate: ({ username, password }, ctx) => inner.authenticate(`${username}:${password}`, ctx),
  })
  return { ...given, authenticator: passwordsAsTokens(whole), unknown: 'jane:wrong' }
}

authenticatorContract('cachedPassword', () => {
  const options = { ttlMs: 60_000, negativeTtlMs: 0, entries: 1000, lookupTimeoutMs: 60_000 }
  return passwordSource((inner) => cachedPassword(inner, options))
})

authenticatorContract('protectedLogin', () =>
  passwordSource((inner) =>
    protectedLogin(inner, {
      counters: memoryCounters({ policy: DEFAULT_POLICY, entries: 1000 }),
      slots: slots({ slots: 2, queue: 256 }),
      digest: keyedDigest(),
      checkMs: 60_000,
    }),
  ),
)

authenticatorContract(
  'passwordFile',
  async () => {
    const sha = (password: string): string => createHash('sha1').update(password).digest('base64')
    const content = [...people].map(([password, name]) => `${name}:{SHA}${sha(password)}\n`).join('')
    const inner = await passwordFile({
      path: '/users.htpasswd',
      log: recordingLog(),
      intervalMs: 0,
      now: () => LATER,
      reads: memoryFiles({ '/users.htpasswd': content }),
    })
    return {
      authenticator: passwordsAsTokens(inner),
      good: new Map([...people].map(([password, name]) => [`${name}:${password}`, name])),
      close: () => inner.close(),
    }
  },
  { asksNobody: true },
)

/** Certificates of two people, as tokens; names that are no ASCII among them. */
async function certificates(authority: TestAuthority): Promise<ReadonlyMap<string, string>> {
  const names = ['jane', '김철수']
  const issued = await Promise.all(names.map((commonName) => authority.client({ commonName })))
  return new Map(issued.map(({ cert }, index) => [new X509Certificate(cert).raw.toString('hex'), names[index] ?? '']))
}

authenticatorContract(
  'x509',
  async () => {
    const authority = await createAuthority('clients')
    const inner = await x509({
      name: 'x509',
      authorities: [{ caFile: '/ca.pem', requireCrl: false, usernamePrefix: '', groupPrefix: '' }],
      entries: 10,
      log: recordingLog(),
      intervalMs: 0,
      reads: memoryFiles({ '/ca.pem': authority.cert }),
    })
    return {
      authenticator: certificatesAsTokens(inner),
      good: await certificates(authority),
      close: () => inner.close(),
    }
  },
  { asksNobody: true },
)

authenticatorContract(
  'requestHeader: no header counts without the certificate of a front proxy',
  async () => {
    const authority = await createAuthority('front proxies')
    const good = await certificates(authority)
    const inner = requestHeader({
      name: 'front-proxy',
      headers: { username: ['X-Remote-User'], uid: [], group: [], extraPrefix: [] },
      frontProxy: frontProxyVerifier({ ca: Buffer.from(authority.cert), requireCrl: false, allowedNames: [] }),
    })
    const wire = (token: string): string => Buffer.from(good.get(token) ?? 'mallory').toString('latin1')
    return { authenticator: frontProxiesAsTokens(inner, wire), good }
  },
  { asksNobody: true },
)

authenticatorContract('requestAuthenticator, for the passwords of requests', async () => {
  const given = await keystonePasswords()
  const { authenticator: tokens } = given
  const whole = requestAuthenticator({
    password: {
      name: tokens.name,
      authenticate: ({ username, password }, ctx) => tokens.authenticate(`${username}:${password}`, ctx),
    },
  })
  return {
    ...given,
    authenticator: {
      name: whole.name,
      authenticate: (token, ctx) => {
        const credentials = Buffer.from(token, 'utf8').toString('base64')
        return whole.authenticate({ headers: [['Authorization', `Basic ${credentials}`]] }, ctx)
      },
    },
  }
})
