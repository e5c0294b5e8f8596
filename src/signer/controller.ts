/**
 * The signer at work: watches the requests for the signers of its policy and sees to each that there is something to do
 * for, again and again where that failed. Runs while it leads.
 *
 * @module
 */
import type { CallLog } from '../context.ts'
import { messageOf } from '../errors.ts'
import { backoffMs, realTiming, type Timing } from '../kube/api-client/backoff.ts'
import type { KubeClient } from '../kube/api-client/client.ts'
import { KubeApiError } from '../kube/api-client/error.ts'
import { type WatchedObjects, watchObjects } from '../kube/api-client/watch-objects.ts'
import { type CertificateSigningRequest, parseCsr } from '../kube/certificate-signing-request.ts'
import { type CertificateRequests, certificateRequests } from '../kube/certificates-client.ts'
import { answering, isOpen, type SignerEvent, type SigningAuthority } from './answering.ts'
import type { SignerPolicy } from './policy.ts'
import { workQueue } from './work-queue.ts'

/** What {@link signerController} needs. */
export interface SignerControllerOptions {
  readonly client: KubeClient
  /** In force now; asked for each request. */
  readonly policy: () => SignerPolicy
  readonly authority: () => SigningAuthority
  /** The record of what was decided. */
  readonly audit: (event: SignerEvent) => void
  /** Told of every try that failed and will be repeated. */
  readonly failed?: () => void
  readonly log: CallLog
  readonly now?: () => Date
  readonly timing?: Timing
}

/** For readiness. */
export interface SignerStatus {
  /** Signers whose requests are known, of all. */
  readonly watched: number
  readonly signers: number
  /** Why one is not watched. */
  readonly error?: string
}

export interface SignerController {
  /** Works until the signal aborts. One at a time. */
  run(signal: AbortSignal): Promise<void>
  /** The policy is another one: every request is looked at again. */
  policyChanged(): void
  status(): SignerStatus
}

type Watched = WatchedObjects<CertificateSigningRequest>

export function signerController(options: SignerControllerOptions): SignerController {
  const { client, policy, log, audit, now = () => new Date(), timing = realTiming } = options
  const requests = certificateRequests(client)
  const answers = answering({ requests, policy, authority: options.authority, audit, log, now })
  const watches = new Map<string, { readonly watched: Watched; readonly stop: AbortController }>()
  let work: { readonly add: (name: string) => void; readonly signal: AbortSignal; readonly path: string } | undefined

  /** Follows the signers of the policy in force and no others. */
  function follow(): void {
    if (work === undefined) return
    const { add, signal, path } = work
    const wanted = new Set(policy().signerNames)
    for (const [name, { stop }] of watches) {
      if (wanted.has(name)) continue
      stop.abort()
      watches.delete(name)
    }
    for (const name of wanted) {
      if (watches.has(name)) continue
      const stop = new AbortController()
      const watched = watchObjects<CertificateSigningRequest>({
        client,
        path,
        fieldSelector: `spec.signerName=${name}`,
        parse: parseCsr,
        onChange(changes) {
          for (const { kind, object } of changes) if (kind === 'set' && isOpen(object)) add(object.name)
        },
        log,
        signal: AbortSignal.any([signal, stop.signal]),
        timing,
      })
      watches.set(name, { watched, stop })
    }
  }

  function failed(name: string, thrown: unknown, pauseMs: number): void {
    options.failed?.()
    if (isConflict(thrown)) log.debug({ csr: name }, 'the request has changed, looking at it again')
    else log.warn({ csr: name, error: messageOf(thrown), pauseMs }, 'the request could not be dealt with, trying again')
  }

  return {
    async run(signal) {
      const queue = workQueue({
        work: (name) => answers.answer(name, signal),
        failed,
        signal,
        timing,
      })
      const path = await pathWhenKnown(requests, { log, signal, timing })
      if (path !== undefined) {
        work = { add: queue.add, signal, path }
        follow()
      }
      await queue.done
      await Promise.all([...watches.values()].map(({ watched }) => watched.done))
      watches.clear()
      work = undefined
    },
    policyChanged() {
      follow()
      for (const { watched } of watches.values()) {
        for (const csr of watched.current()?.values() ?? []) if (isOpen(csr)) work?.add(csr.name)
      }
    },
    status() {
      const all = [...watches.values()].map(({ watched }) => watched.status())
      const error = all.find((one) => one.error !== undefined)?.error
      return {
        watched: all.filter(({ synced, watching }) => synced && watching).length,
        signers: policy().signerNames.length,
        ...(error === undefined ? {} : { error }),
      }
    },
  }
}

/** The path of the requests, once the API server has said which version it speaks; undefined: all has ended. */
async function pathWhenKnown(
  requests: CertificateRequests,
  { log, signal, timing }: { readonly log: CallLog; readonly signal: AbortSignal; readonly timing: Timing },
): Promise<string | undefined> {
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      return await requests.path(signal)
    } catch (thrown) {
      if (signal.aborted) break
      log.warn({ error: messageOf(thrown) }, 'the Kubernetes API cannot be asked, trying again')
      await timing.sleep(backoffMs(failures, { firstMs: 200, mostMs: 5000 }, timing.random), signal)
    }
  }
  return undefined
}

function isConflict(thrown: unknown): boolean {
  return thrown instanceof KubeApiError && thrown.status === 409
}
