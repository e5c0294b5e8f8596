/** What the tests of `src/keystone/login/` share: proofs full of canaries, and answers of a Keystone that issues tokens. */
import type { TestContext } from 'node:test'
import { createKeystoneLogin } from '../../../src/keystone/login/login.ts'
import type { KeystoneLogin, LoginEndpoint, LoginMethod } from '../../../src/keystone/login/login-request.ts'
import { Secret } from '../../../src/secret.ts'
import { type FakeKeystone, type FakeKeystoneOptions, reply, startFakeKeystone } from '../../support/fake-keystone.ts'
import { CANARY } from '../support.ts'

const DOMAIN = { name: 'Default' }

export const ALICE = { name: 'alice', domain: DOMAIN } as const
export const DEMO = { scope: 'project', project: { name: 'demo', domain: DOMAIN } } as const

/** Alice's password, which must not be in any message. */
export const PASSWORD: LoginMethod = { method: 'password', user: ALICE, password: new Secret(CANARY) }

/** Keystone's answer to a login. */
export function documentOf(token: object = {}): object {
  return {
    token: {
      methods: ['password'],
      user: { id: 'u1', name: 'alice', domain: { id: 'default', name: 'Default' }, password_expires_at: null },
      audit_ids: ['a1'],
      expires_at: '2026-11-21T18:50:25.000000Z',
      issued_at: '2026-11-21T17:50:25.000000Z',
      ...token,
    },
  }
}

/** Issues a token: 201 with the header. */
export const issued = reply(201, documentOf(), { 'X-Subject-Token': CANARY })

export interface LoginSetup {
  readonly keystone: FakeKeystone
  readonly login: KeystoneLogin
}

/** A fake Keystone and a way into it, both gone after the test. */
export async function setUpLogin(
  t: TestContext,
  { fake = {}, ...endpoint }: Partial<LoginEndpoint> & { readonly fake?: FakeKeystoneOptions } = {},
): Promise<LoginSetup> {
  const keystone = await startFakeKeystone(fake)
  t.after(() => keystone.close())
  const login = createKeystoneLogin({ url: keystone.url, timeoutMs: 10_000, ...endpoint })
  t.after(() => login.close())
  return { keystone, login }
}
