/** Certificates that were judged by kube-apiserver 1.20 and 1.36: what came out there comes out here. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { z } from 'zod'
import type { AuthnResult } from '../../../src/authn/authenticator.ts'
import type { ClientCertificate } from '../../../src/authn/request/credentials.ts'
import { requestHeader } from '../../../src/authn/request/request-header.ts'
import { frontProxyVerifier } from '../../../src/authn/x509/front-proxy.ts'
import { callContext } from '../../support/context.ts'
import { authenticatorOf } from './support.ts'

const Common = { name: z.string(), roots: z.array(z.string()), presented: z.array(z.string()) }
const Vectors = z.object({
  count: z.number(),
  fixtures: z.record(z.string(), z.string()),
  vectors: z.array(
    z.discriminatedUnion('kind', [
      z.object({
        ...Common,
        kind: z.literal('clientCertificate'),
        expect: z.object({
          outcome: z.enum(['authenticated', 'noOpinion', 'error']),
          user: z.object({ name: z.string(), groups: z.array(z.string()), uid: z.string().default('') }).optional(),
          credentialId: z.string().optional(),
        }),
      }),
      z.object({
        ...Common,
        kind: z.literal('frontProxyCertificate'),
        allowedNames: z.array(z.string()),
        expect: z.object({ outcome: z.enum(['authenticated', 'noOpinion', 'error']) }),
      }),
    ]),
  ),
})

const { vectors, fixtures, count } = Vectors.parse(
  JSON.parse(readFileSync(new URL('../../vectors/x509-vectors.json', import.meta.url), 'utf8')),
)
const OUTCOMES = { authenticated: 'authenticated', rejected: 'error', skipped: 'noOpinion' } as const
const HEADERS = { username: ['X-Remote-User'], uid: [], group: [], extraPrefix: [] }

function bundle(roots: readonly string[]): string {
  return roots.map((root) => fixtures[root] ?? assert.fail(`no fixture ${root}`)).join('')
}

function certificateOf(presented: readonly string[]): ClientCertificate | undefined {
  const [leaf, ...intermediates] = presented.map((pem) => new X509Certificate(pem).raw)
  return leaf === undefined ? undefined : { leaf, intermediates }
}

describe('vectors of kube-apiserver', () => {
  test('are all there', () => assert.equal(vectors.length, count))

  for (const vector of vectors) {
    test(`${vector.kind}: ${vector.name}`, async () => {
      const certificate = certificateOf(vector.presented)
      if (vector.kind === 'frontProxyCertificate') {
        const frontProxy = frontProxyVerifier({ ca: Buffer.from(bundle(vector.roots)), ...vector })
        const headers = requestHeader({ name: 'proxy', headers: HEADERS, frontProxy })
        const credentials = { headers: [['X-Remote-User', 'jane']] as const, ...(certificate && { certificate }) }
        const { kind } = await headers.authenticate(credentials, callContext())
        assert.equal(OUTCOMES[kind], vector.expect.outcome)
        return
      }
      // A request without a certificate never gets to the authenticator: see the adapter.
      if (certificate === undefined) return assert.equal(vector.expect.outcome, 'noOpinion')
      const { authenticator } = await authenticatorOf({ ca: bundle(vector.roots) })
      const result: AuthnResult = await authenticator.authenticate(certificate, callContext())
      assert.equal(OUTCOMES[result.kind], vector.expect.outcome, JSON.stringify(result))
      if (result.kind !== 'authenticated') return
      const { username: name, groups, uid, extra } = result.user
      assert.deepEqual({ name, groups, uid }, vector.expect.user)
      assert.deepEqual([...extra], [['authentication.kubernetes.io/credential-id', [vector.expect.credentialId]]])
    })
  }
})
