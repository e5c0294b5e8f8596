/**
 * Waiting for the answer to a request: by a watch, or by asking again and again where watching is not allowed.
 *
 * @module
 */
import { backoffMs, type Timing } from '../kube/api-client/backoff.ts'
import type { KubeClient } from '../kube/api-client/client.ts'
import { KubeApiError } from '../kube/api-client/error.ts'
import { type CertificateSigningRequest, conditionOf, parseCsr } from '../kube/certificate-signing-request.ts'
import type { CertificateRequests } from '../kube/certificates-client.ts'

export type CertificateOutcome =
  | { readonly kind: 'issued'; readonly csr: CertificateSigningRequest; readonly certificate: string }
  | { readonly kind: 'denied' | 'failed'; readonly csr: CertificateSigningRequest; readonly message: string }
  | { readonly kind: 'gone' }
  /** `csr` as it was last. */
  | { readonly kind: 'late'; readonly csr: CertificateSigningRequest | undefined }

export interface AwaitOptions {
  readonly client: Pick<KubeClient, 'list' | 'watch'>
  readonly requests: Pick<CertificateRequests, 'get' | 'path'>
  readonly name: string
  /** Ends the waiting: `late`. */
  readonly signal: AbortSignal
  readonly timing: Timing
}

const BACKOFF = { firstMs: 500, mostMs: 5000 }
const WATCH_SECONDS = 60

/** Settles with the first answer. Throws `KubeApiError` for what no waiting mends: 401, and 403 on reading it at all. */
export async function awaitCertificate(options: AwaitOptions): Promise<CertificateOutcome> {
  const { requests, name, signal, timing } = options
  let last: CertificateSigningRequest | undefined
  let mayWatch = true
  let isTold = false
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      last = await requests.get(name, signal)
      const outcome = last === undefined ? ({ kind: 'gone' } as const) : outcomeOf(last)
      if (outcome !== undefined) return outcome
    } catch (thrown) {
      if (isRefusal(thrown)) throw thrown
    }
    if (signal.aborted) break
    try {
      // Once without a pause: a list that is not of everything would have it that the request is gone, for ever.
      if (mayWatch && (await changes(options)) && !isTold) {
        isTold = true
        failures = 0
        continue
      }
    } catch (thrown) {
      if (isRefusal(thrown)) mayWatch = false
    }
    isTold = false
    await timing.sleep(backoffMs(failures, BACKOFF, timing.random), signal)
  }
  return { kind: 'late', csr: last }
}

/** Settles with true as soon as there is an answer, or the object is gone; with false when the watch is over. */
async function changes({ client, requests, name, signal }: AwaitOptions): Promise<boolean> {
  const selection = { path: await requests.path(signal), fieldSelector: `metadata.name=${name}` }
  const { items, resourceVersion } = await client.list(selection, signal)
  const [item] = items
  if (item === undefined || outcomeOf(parseCsr(item)) !== undefined) return true
  const idleMs = WATCH_SECONDS * 1000 + 15_000
  const stop = new AbortController()
  const within = AbortSignal.any([signal, stop.signal])
  const events = await client.watch({
    ...selection,
    resourceVersion,
    timeoutSeconds: WATCH_SECONDS,
    idleMs,
    signal: within,
  })
  try {
    for await (const { type, object } of events) {
      if (type === 'DELETED') return true
      if (type !== 'BOOKMARK' && outcomeOf(parseCsr(object)) !== undefined) return true
    }
    return false
  } finally {
    stop.abort()
  }
}

function outcomeOf(csr: CertificateSigningRequest): CertificateOutcome | undefined {
  const denied = conditionOf(csr, 'Denied')
  const failed = conditionOf(csr, 'Failed')
  if (denied !== undefined) return { kind: 'denied', csr, message: messageOf(denied) }
  if (failed !== undefined) return { kind: 'failed', csr, message: messageOf(failed) }
  if (csr.certificate !== undefined) return { kind: 'issued', csr, certificate: csr.certificate }
  return undefined
}

function messageOf({ reason, message }: { readonly reason: string; readonly message: string }): string {
  return [reason, message].filter((text) => text !== '').join(': ')
}

function isRefusal(thrown: unknown): boolean {
  return thrown instanceof KubeApiError && (thrown.status === 401 || thrown.status === 403)
}
