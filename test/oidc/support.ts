/** What the tests of the OpenID Connect client share. */

import assert from 'node:assert/strict'
import type { ErrorCode } from '../../src/errors.ts'
import { ArchwayError } from '../../src/errors.ts'
import { createOidcClient } from '../../src/oidc/create-client.ts'
import type { Clock } from '../../src/oidc/device-code.ts'
import type { OidcClient, OidcClientOptions } from '../../src/oidc/oidc-client.ts'
import type { OidcIssuer } from '../rigs/oidc-issuer.ts'

const SCOPES = ['openid', 'email', 'profile', 'groups']

/** A public client of the rig. */
export function clientOf(issuer: OidcIssuer, options: Partial<OidcClientOptions> = {}, clock?: Clock): OidcClient {
  return createOidcClient({ issuer: issuer.issuer, clientId: 'terminal', scopes: SCOPES, ...options }, clock)
}

/** Checks the code and the message of a refusal, and returns it. */
export async function rejects(promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<ArchwayError> {
  let error: unknown
  try {
    await promise
  } catch (thrown) {
    error = thrown
  }
  assert.ok(error instanceof ArchwayError, `not an ArchwayError: ${String(error)}`)
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return error
}

/** A clock that goes on when it is slept by, and lets the test act before it does. */
export function steppingClock(act: (sleeps: number) => void | Promise<void> = () => {}): Clock & {
  /** Milliseconds of each sleep. */
  readonly slept: readonly number[]
} {
  let now = Date.now()
  const slept: number[] = []
  return {
    slept,
    now: () => now,
    async sleep(ms, signal) {
      slept.push(ms)
      await act(slept.length)
      signal.throwIfAborted()
      now += ms
    },
  }
}
