/** The contract, over every authenticator that needs nothing but the process. Keystone's is beside its own tests. */

import { audienceBound } from '../../src/authn/audiences.ts'
import { type AuthnResult, SKIPPED, type TokenAuthenticator } from '../../src/authn/authenticator.ts'
import { cached } from '../../src/authn/cached.ts'
import { identityGate } from '../../src/authn/identity-gate.ts'
import { tokenFile } from '../../src/authn/token-file.ts'
import { union } from '../../src/authn/union.ts'
import { ArchwayError } from '../../src/errors.ts'
import { authenticated, fakeAuthenticator, userInfo } from '../authn/support.ts'
import { LATER, memoryFiles, recordingLog } from '../reload/support.ts'
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
