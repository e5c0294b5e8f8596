/**
 * Authenticators that say what a test tells them to, and remember what they were asked.
 *
 * @module
 */
import { getHeapSnapshot } from 'node:v8'
import type { AuthnResult, TokenAuthenticator } from '../../src/authn/authenticator.ts'
import type { CallContext } from '../../src/context.ts'
import type { UserInfo } from '../../src/user.ts'

export interface FakeAuthenticator extends TokenAuthenticator {
  readonly asked: { readonly token: string; readonly ctx: CallContext }[]
}

/** A function as an authenticator. */
export function fakeAuthenticator(
  answer: (token: string, ctx: CallContext) => AuthnResult | Promise<AuthnResult>,
  name = 'fake',
): FakeAuthenticator {
  const asked: FakeAuthenticator['asked'] = []
  return {
    name,
    asked,
    async authenticate(token, ctx) {
      asked.push({ token, ctx })
      return answer(token, ctx)
    },
  }
}

export function userInfo(over: Partial<UserInfo> = {}): UserInfo {
  return { username: 'jane', uid: 'u-1', groups: ['dev'], extra: new Map(), ...over }
}

export type Authenticated = Extract<AuthnResult, { kind: 'authenticated' }>

export function authenticated(over: Partial<Authenticated> = {}): Authenticated {
  return { kind: 'authenticated', source: 'fake', user: userInfo(), ...over }
}

/** How often a text is in any string that is alive. */
export async function timesInHeap(text: Buffer): Promise<number> {
  const chunks: Buffer[] = []
  for await (const chunk of getHeapSnapshot()) chunks.push(Buffer.from(chunk))
  const heap = Buffer.concat(chunks)
  let times = 0
  for (let at = heap.indexOf(text); at >= 0; at = heap.indexOf(text, at + 1)) times += 1
  return times
}
