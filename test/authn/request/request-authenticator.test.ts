import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { type Authenticator, type AuthnResult, SKIPPED } from '../../../src/authn/authenticator.ts'
import { anonymous } from '../../../src/authn/request/anonymous.ts'
import type { RequestCredentials } from '../../../src/authn/request/credentials.ts'
import { requestAuthenticator } from '../../../src/authn/request/request-authenticator.ts'
import { union } from '../../../src/authn/union.ts'
import { ArchwayError } from '../../../src/errors.ts'
import { callContext } from '../../support/context.ts'
import { authenticated } from '../support.ts'

const basic = (text: string): [string, string] => ['Authorization', `Basic ${Buffer.from(text).toString('base64')}`]
const certificate = { leaf: new Uint8Array([1]), intermediates: [] }

function answering<C>(name: string, answer: AuthnResult | Error): Authenticator<C> & { readonly asked: C[] } {
  const asked: C[] = []
  return {
    name,
    asked,
    async authenticate(credential) {
      asked.push(credential)
      if (answer instanceof Error) throw answer
      return answer
    },
  }
}

const rejected: AuthnResult = { kind: 'rejected', code: 'login_failed', source: 'p' }
const outage = new ArchwayError('keystone_unreachable', 'away')

describe('a request', () => {
  test('with nothing shown is nobody, or anonymous where that is on', async () => {
    const request: RequestCredentials = { headers: [] }
    assert.equal(await requestAuthenticator({}).authenticate(request, callContext()), SKIPPED)
    const result = await requestAuthenticator({ anonymous: anonymous() }).authenticate(request, callContext())
    assert.ok(result.kind === 'authenticated')
    assert.deepEqual([result.user.username, result.user.groups], ['system:anonymous', ['system:unauthenticated']])
  })

  const bad: readonly [string, RequestCredentials][] = [
    ['a token nobody knows', { headers: [['Authorization', 'Bearer x']] }],
    ['a password nobody knows', { headers: [basic('u:p')] }],
    ['two credentials', { headers: [basic('u:p'), ['Authorization', 'Bearer x']] }],
    ['a certificate nobody knows', { headers: [], certificate }],
  ]
  for (const [name, request] of bad) {
    test(`T-W2 ${name} is refused, and never anonymous`, async () => {
      const chain = requestAuthenticator({
        certificate: answering('x509', { kind: 'rejected', code: 'certificate_untrusted', source: 'x509' }),
        token: answering('tokens', SKIPPED),
        password: answering('passwords', SKIPPED),
        anonymous: anonymous(),
      })
      assert.equal((await chain.authenticate(request, callContext())).kind, 'rejected')
    })
  }

  test('T-W3 an outage is neither a refusal nor anonymous, and hides no other proof', async () => {
    const headers = [['Authorization', 'Bearer x']] as const
    const away = { token: answering<string>('tokens', outage), anonymous: anonymous() }
    await assert.rejects(requestAuthenticator(away).authenticate({ headers }, callContext()), {
      code: 'keystone_unreachable',
    })
    const proved = requestAuthenticator({ ...away, certificate: answering('x509', authenticated()) })
    assert.equal((await proved.authenticate({ headers, certificate }, callContext())).kind, 'authenticated')
  })

  test('the front proxy comes before the certificate, the certificate before the headers', async () => {
    const sources = {
      requestHeader: answering<RequestCredentials>('front-proxy', authenticated({ source: 'front-proxy' })),
      certificate: answering<typeof certificate>('x509', authenticated({ source: 'x509' })),
      token: answering<string>('tokens', authenticated({ source: 'tokens' })),
    }
    const request = { headers: [['Authorization', 'Bearer x']], certificate } as const
    const order: string[] = []
    for (const gone of [undefined, 'requestHeader', 'certificate']) {
      if (gone !== undefined) Reflect.deleteProperty(sources, gone)
      const result = await requestAuthenticator(sources).authenticate(request, callContext())
      assert.ok(result.kind === 'authenticated')
      order.push(result.source)
    }
    assert.deepEqual(order, ['front-proxy', 'x509', 'tokens'])
  })

  test('a certificate that proves nothing leaves the password its chance', async () => {
    const chain = requestAuthenticator({
      certificate: answering('x509', rejected),
      password: answering('passwords', authenticated({ source: 'passwords' })),
    })
    const result = await chain.authenticate({ certificate, headers: [basic('u:p')] }, callContext())
    assert.equal(result.kind, 'authenticated')
  })

  test('the password’s source is told the address', async () => {
    const password = answering<object>('passwords', rejected)
    await requestAuthenticator({ password }).authenticate(
      { headers: [basic('u:p')], address: '192.0.2.1' },
      callContext(),
    )
    assert.deepEqual(password.asked, [{ username: 'u', password: 'p', address: '192.0.2.1' }])
  })

  test('an identity that is handed out twice is the same one', async () => {
    const known = authenticated()
    const chain = requestAuthenticator({ token: answering('tokens', known) })
    const request = { headers: [['Authorization', 'Bearer x']] } as const
    const results = [await chain.authenticate(request, callContext()), await chain.authenticate(request, callContext())]
    assert.equal(results[0], results[1])
    assert.ok(!known.user.groups.includes('system:authenticated'), 'and the source’s own result is as it was')
  })
})

const Vector = z.object({
  name: z.string(),
  kind: z.literal('authenticators'),
  authenticators: z.array(
    z.object({
      result: z.enum(['success', 'noOpinion', 'error']),
      user: z.object({ name: z.string(), groups: z.array(z.string()) }).optional(),
    }),
  ),
  anonymous: z.boolean(),
  expect: z.object({
    asked: z.number(),
    httpStatus: z.number(),
    user: z.object({ name: z.string(), groups: z.array(z.string()) }).optional(),
  }),
})

describe('the chains of kube-apiserver, whole', () => {
  const { vectors } = z
    .object({ vectors: z.array(z.unknown()) })
    .parse(JSON.parse(readFileSync(new URL('../../vectors/chain-vectors.json', import.meta.url), 'utf8')))
  const chains = vectors.flatMap((vector) => Vector.safeParse(vector).data ?? [])
  test('are all there', () => assert.equal(chains.length, 15))

  for (const { name, authenticators, anonymous: isOn, expect } of chains) {
    test(name, async () => {
      const members = authenticators.map(({ result, user }) => {
        const { name: username = '', groups = [] } = user ?? {}
        if (result === 'success')
          return answering<RequestCredentials>(
            'm',
            authenticated({ user: { username, groups, uid: '', extra: new Map() } }),
          )
        return answering<RequestCredentials>('m', result === 'noOpinion' ? SKIPPED : outage)
      })
      const chain = requestAuthenticator({
        ...(members.length > 0 ? { requestHeader: union(members) } : {}),
        ...(isOn ? { anonymous: anonymous() } : {}),
      })
      const outcome = await chain.authenticate({ headers: [] }, callContext()).catch(() => undefined)
      assert.equal(members.filter(({ asked }) => asked.length > 0).length, expect.asked)
      if (expect.httpStatus === 401) return assert.notEqual(outcome?.kind, 'authenticated')
      assert.ok(outcome?.kind === 'authenticated')
      assert.deepEqual({ name: outcome.user.username, groups: outcome.user.groups }, expect.user)
    })
  }
})
