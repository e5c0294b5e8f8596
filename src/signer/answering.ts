/**
 * One request, from what it is now to what is written into it: approved or denied where that is the signer's to say,
 * signed or failed where it is approved. Owns the writes and their record; leaves when to look to `controller.ts`.
 *
 * Every write says which version of the object it was made for, so two who answer one request at a time do no harm but
 * to each other's time. One who is killed between signing and writing has made a certificate that nobody has.
 *
 * @module
 */
import type { CallLog } from '../context.ts'
import { KubeApiError } from '../kube/api-client/error.ts'
import { type CertificateSigningRequest, conditionOf } from '../kube/certificate-signing-request.ts'
import type { CertificateRequests } from '../kube/certificates-client.ts'
import type { Authority, IssuedCertificate } from '../pki/issuing.ts'
import { askedBy, requestOf } from './asked.ts'
import type { Breach } from './finding.ts'
import type { SignerPolicy } from './policy.ts'
import { isReady, signByPolicy } from './signing.ts'

/** What was decided about one request, and written. */
export type SignerEvent = {
  readonly csr: CertificateSigningRequest
  /** As it was asked for, one line; undefined where the request cannot be read. */
  readonly subject: string | undefined
} & Outcome

type Outcome =
  | { readonly kind: 'approved'; readonly rule: string }
  | { readonly kind: 'denied'; readonly breaches: readonly Breach[] }
  | { readonly kind: 'issued'; readonly rule: string; readonly issued: IssuedCertificate }
  | { readonly kind: 'failed'; readonly reason: string; readonly breaches: readonly Pick<Breach, 'message'>[] }

/** What signs, and what comes after its certificates in a chain. */
export interface SigningAuthority {
  readonly authority: Authority
  /** PEM; empty where the authority is a root. */
  readonly intermediates: string
}

/** What {@link answering} needs. */
export interface AnsweringOptions {
  readonly requests: Pick<CertificateRequests, 'get' | 'decide' | 'answer'>
  /** In force now; asked for each request. */
  readonly policy: () => SignerPolicy
  readonly authority: () => SigningAuthority
  /** The record of what was decided. */
  readonly audit: (event: SignerEvent) => void
  readonly log: CallLog
  readonly now: () => Date
}

export interface Answering {
  /**
   * Looks at a request as it is now, and does what is to be done. A write that has begun is not broken off. Throws for
   * what is to be tried again.
   */
  answer(name: string, signal: AbortSignal): Promise<void>
}

/** Whether there may be something to do. */
export function isOpen(csr: CertificateSigningRequest): boolean {
  const isDecided = conditionOf(csr, 'Denied') !== undefined || conditionOf(csr, 'Failed') !== undefined
  return !isDecided && csr.certificate === undefined
}

/** Reasons that stand in conditions. */
const GRANTED = 'GrantedByPolicy'
const BREACH = 'PolicyBreach'

/** A write whose answer never came. */
interface Unsettled {
  readonly event: SignerEvent
  /** Whether the object shows that it was taken. */
  readonly isIn: (csr: CertificateSigningRequest) => boolean
}

export function answering(options: AnsweringOptions): Answering {
  const { requests, policy, audit, log, now } = options
  const unsettled = new Map<string, Unsettled>()

  async function write(
    csr: CertificateSigningRequest,
    outcome: Outcome,
    send: () => Promise<CertificateSigningRequest>,
    isIn: Unsettled['isIn'],
  ): Promise<CertificateSigningRequest> {
    const event: SignerEvent = { ...outcome, csr, subject: requestOf(csr)?.subject.text }
    try {
      const written = await send()
      unsettled.delete(csr.name)
      audit(event)
      return written
    } catch (thrown) {
      if (!isRefusal(thrown)) unsettled.set(csr.name, { event, isIn })
      throw thrown
    }
  }

  /** The record of a write that was taken, as is seen only now. */
  function settle(name: string, csr: CertificateSigningRequest | undefined): void {
    const before = unsettled.get(name)
    if (before === undefined) return
    const isTaken = csr?.uid === before.event.csr.uid && before.isIn(csr)
    if (isTaken) audit(before.event)
    // One that is not seen yet may still be on its way.
    if (isTaken || csr === undefined || !isOpen(csr)) unsettled.delete(name)
  }

  function condition(csr: CertificateSigningRequest, outcome: Outcome, type: string, reason: string, message: string) {
    const change = { condition: { type, reason, message } }
    const send = () => (type === 'Failed' ? requests.answer(csr, change) : requests.decide(csr, change))
    return write(csr, outcome, send, (found) => {
      const there = conditionOf(found, type)
      return there?.reason === reason && there.message === message
    })
  }

  /** Says yes or no where that is the signer's to say; gives the request as it is then. */
  async function decide(csr: CertificateSigningRequest): Promise<CertificateSigningRequest> {
    const asked = askedBy(csr)
    const decision = asked === undefined ? undefined : policy().decide(asked)
    if (decision === undefined || decision.kind === 'not-ours' || decision.approval === 'manual') return csr
    if (decision.kind === 'granted') {
      const { rule } = decision
      const message = `granted by rule ${JSON.stringify(rule)}`
      return condition(csr, { kind: 'approved', rule }, 'Approved', GRANTED, message)
    }
    const { breaches } = decision
    return condition(csr, { kind: 'denied', breaches }, 'Denied', BREACH, inWords(breaches))
  }

  async function sign(csr: CertificateSigningRequest, signal: AbortSignal): Promise<void> {
    const { authority, intermediates } = options.authority()
    const signing = await signByPolicy(csr, policy(), { authority, now })
    signal.throwIfAborted()
    if (signing.kind === 'failed') {
      await condition(csr, signing, 'Failed', signing.reason, inWords(signing.breaches))
    } else if (signing.kind === 'issued') {
      const certificate = signing.issued.certificatePem + intermediates
      const send = () => requests.answer(csr, { certificate })
      await write(csr, signing, send, (found) => found.certificate === certificate)
    }
  }

  return {
    async answer(name, signal) {
      const found = await requests.get(name, signal)
      settle(name, found)
      if (found === undefined || !isOpen(found)) return
      try {
        const csr = conditionOf(found, 'Approved') === undefined ? await decide(found) : found
        signal.throwIfAborted()
        if (isReady(csr)) await sign(csr, signal)
      } catch (thrown) {
        if (!(thrown instanceof KubeApiError) || thrown.status !== 404) throw thrown
        log.info({ csr: name }, 'the request was removed while it was worked on')
      }
    },
  }
}

/** Whether nothing was written for sure: a server that is too late, or whose answer cannot be read, may have. */
function isRefusal(thrown: unknown): boolean {
  return thrown instanceof KubeApiError && thrown.failure === 'status' && (thrown.status ?? 500) < 500
}

const MOST_MESSAGE = 1000

/** For a condition, where anybody may read it. */
function inWords(breaches: readonly Pick<Breach, 'message'>[]): string {
  return breaches
    .map(({ message }) => message)
    .join('; ')
    .slice(0, MOST_MESSAGE)
}
