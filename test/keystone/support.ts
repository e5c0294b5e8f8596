/** What the tests of `src/keystone/` share: a call, a client, and the check that no error tells a token. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { inspect } from 'node:util'
import { ArchwayError, type ErrorCode } from '../../src/errors.ts'
import {
  type IdentityClient,
  type KeystoneCall,
  type KeystoneClientOptions,
  type KeystoneObservation,
  keystoneClient,
} from '../../src/keystone/identity-client.ts'
import { type FakeKeystone, type FakeKeystoneOptions, startFakeKeystone } from '../support/fake-keystone.ts'

/** A token that looks like Keystone's, and that must not be in any message, log line or field. */
export const CANARY = `gAAAAAB${'canary'.repeat(29)}`

export interface TestCall extends KeystoneCall {
  /** Every log line, with its fields. */
  readonly lines: { readonly level: string; readonly fields: object; readonly message: string }[]
}

export function newCall(signal: AbortSignal = new AbortController().signal): TestCall {
  const lines: TestCall['lines'] = []
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields, message })
  }
  return {
    requestId: 'r1',
    signal,
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    lines,
  }
}

export interface Setup {
  readonly keystone: FakeKeystone
  readonly client: IdentityClient
  readonly observed: readonly KeystoneObservation[]
}

/** A fake Keystone and a client for it, both gone after the test. */
export async function setUp(
  t: TestContext,
  options: Partial<KeystoneClientOptions> & { readonly fake?: FakeKeystoneOptions } = {},
): Promise<Setup> {
  const keystone = await startFakeKeystone(options.fake)
  t.after(() => keystone.close())
  const observed: KeystoneObservation[] = []
  const { fake: _, ...rest } = options
  const client = keystoneClient({
    url: keystone.url,
    timeoutMs: 5000,
    observe: (observation) => observed.push(observation),
    ...rest,
  })
  t.after(() => client.close())
  return { keystone, client, observed }
}

/** The ArchwayError that a promise was rejected with; it has the code, the text, and nothing of the canary. */
export async function failure(promise: Promise<unknown>, code: ErrorCode, text: RegExp = /./): Promise<ArchwayError> {
  const thrown = await promise.then(
    (value) => assert.fail(`expected ${code}, got ${inspect(value)}`),
    (error: unknown) => error,
  )
  assert(thrown instanceof ArchwayError, inspect(thrown))
  assert.equal(thrown.code, code, thrown.message)
  assert.match(thrown.message, text)
  assertNoCanary(thrown)
  return thrown
}

/** No token in anything that could be logged, however deep. */
export function assertNoCanary(thing: unknown): void {
  assert.doesNotMatch(inspect(thing, { depth: 12, showHidden: true, maxStringLength: null }), /canary/i)
}

/** Waits until something that is sure to happen has happened. */
export async function until(happened: () => boolean): Promise<void> {
  const giveUp = performance.now() + 5000
  while (!happened()) {
    assert(performance.now() < giveUp, `it did not happen: ${happened}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
