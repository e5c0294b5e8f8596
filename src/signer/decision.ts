/**
 * Approving and denying: exactly the request that somebody has looked at, or none.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { KubeApiError } from '../kube/api-client/error.ts'
import { type CertificateSigningRequest, conditionOf } from '../kube/certificate-signing-request.ts'
import type { CertificateRequests } from '../kube/certificates-client.ts'

/** What is asked for and who asks: two requests of one digest are one. */
export function digestOf(csr: CertificateSigningRequest): string {
  const { name, uid, request, signerName, usages, expirationSeconds = null, requester } = csr
  const extra = [...requester.extra].sort(([one], [other]) => (one < other ? -1 : 1))
  const who = [requester.username, requester.uid, requester.groups, extra]
  const text = JSON.stringify([name, uid, request, signerName, usages, expirationSeconds, who])
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

/** The decision, in the words that will stand in the object. */
export interface NewDecision {
  readonly type: 'Approved' | 'Denied'
  readonly reason: string
  readonly message: string
}

export type DecisionOutcome =
  | { readonly kind: 'written'; readonly csr: CertificateSigningRequest }
  /** It said so before. */
  | { readonly kind: 'already' }
  /** It was decided the other way. */
  | { readonly kind: 'opposite' }
  /** Under this name there is another request now than the one that was looked at. */
  | { readonly kind: 'changed' }
  | { readonly kind: 'gone' }

/** Tries in all where others write to the object at the same time. */
const MOST_TRIES = 10

/**
 * Writes a decision about the request as it was `shown`. Throws `KubeApiError`.
 *
 * @param requests of the cluster
 */
export async function decideRequest(
  requests: Pick<CertificateRequests, 'get' | 'decide'>,
  shown: CertificateSigningRequest,
  decision: NewDecision,
  signal?: AbortSignal,
): Promise<DecisionOutcome> {
  const opposite = decision.type === 'Approved' ? 'Denied' : 'Approved'
  for (let tries = 1; ; tries++) {
    const now = await requests.get(shown.name, signal)
    if (now === undefined) return { kind: 'gone' }
    if (digestOf(now) !== digestOf(shown)) return { kind: 'changed' }
    if (conditionOf(now, opposite) !== undefined) return { kind: 'opposite' }
    if (conditionOf(now, decision.type) !== undefined) return { kind: 'already' }
    try {
      return { kind: 'written', csr: await requests.decide(now, { condition: decision }, signal) }
    } catch (thrown) {
      const status = thrown instanceof KubeApiError ? thrown.status : undefined
      if (status === 404) return { kind: 'gone' }
      if (status !== 409 || tries === MOST_TRIES) throw thrown
    }
  }
}
