/**
 * Whether a request goes on, and as whose: hygiene → what it is about → who asks → room for it → may they. Owns the
 * order; leaves each of these to its room.
 *
 * @module
 */
import { addressGroup } from '../authn/protection/address-group.ts'
import type { ClientCertificate, RequestCredentials } from '../authn/request/credentials.ts'
import type { Authorizer } from '../authz/authorizer.ts'
import { parseRequestInfo, type RequestInfo } from '../kube/request-info.ts'
import { statusAnswer } from '../kube/status.ts'
import type { Admission, AdmissionResult, Permit } from './admission/admission.ts'
import { authorize } from './authorize.ts'
import type { Call } from './call.ts'
import type { ClientExchange } from './client/client.ts'
import { durationOf } from './durations.ts'
import type { CleanHead, Hygiene } from './hygiene/hygiene.ts'
import type { Identify, Who } from './identify.ts'
import type { ProxyLimits } from './limits.ts'
import { limited, type Refused, refused, unclean } from './refused.ts'

/** Those who decide. */
export interface Judges {
  readonly hygiene: Hygiene
  readonly identify: Identify
  readonly authorizer: Authorizer | undefined
  readonly admission: Admission
  readonly limits: ProxyLimits
  certificateOf(socket: ClientExchange['socket']): ClientCertificate | undefined
  /** Monotonic, milliseconds. */
  now(): number
}

/** What has been found out about a request, as far as it got: the observation is made of it. */
export interface Facts {
  head?: CleanHead
  info?: RequestInfo
  isLong: boolean
  user?: string
  source?: string
}

export type Known = Exclude<Who, Refused>

/** It may go on, and the permit is to be given back when it is over. */
export interface Go {
  readonly kind: 'go'
  readonly head: CleanHead
  readonly who: Known
  readonly permit: Permit
}

/** Undefined: nobody waits for it any more. */
export async function decide(
  judges: Judges,
  client: ClientExchange,
  facts: Facts,
  call: Call,
): Promise<Go | Refused | undefined> {
  const checked = judges.hygiene.check(client.head)
  if (checked.kind === 'refused') return unclean(checked)
  const { head } = checked
  facts.head = head
  if (head.framing.kind === 'length' && head.framing.bytes > judges.limits.bodyBytes) return tooLarge(judges.limits)
  const about = parseRequestInfo(head.method, head.target)
  if (about.problem === undefined || about.problem === 'query-ambiguous') facts.info = about.info
  facts.isLong = durationOf(facts.info, head) === 'long'

  const known = judges.identify(credentialsOf(judges, client), call)
  const who = known instanceof Promise ? await decided(judges, call, known) : known
  if (call.isOver) return undefined
  if (who.kind === 'refused') return who
  if (who.kind === 'user') {
    facts.user = who.user.username
    facts.source = who.source
  }

  const room = admit(judges, client, facts, call)
  const admitted = room instanceof Promise ? await room : room
  if (admitted.kind === 'refused') return call.isOver ? undefined : limited(admitted)
  const { permit } = admitted
  call.permit = permit
  const { authorizer } = judges
  if (authorizer !== undefined && who.kind === 'user' && !call.isOver) {
    const no = await decided(judges, call, authorize(authorizer, { user: who.user, head, about }, call))
    if (no !== undefined) {
      permit.release()
      return call.isOver ? undefined : no
    }
  }
  if (!call.isOver) return { kind: 'go', head, who, permit }
  permit.release()
  return undefined
}

export function tooLarge({ bodyBytes }: ProxyLimits): Refused {
  return refused('refused', 'body-limit', statusAnswer(413, `the body is longer than ${bodyBytes} bytes`))
}

function credentialsOf({ certificateOf }: Judges, { head, remoteAddress, socket }: ClientExchange): RequestCredentials {
  const certificate = certificateOf(socket)
  const shown = { headers: head.headers, address: remoteAddress }
  return certificate === undefined ? shown : { ...shown, certificate }
}

/** Keeps the time: not all who decide keep theirs. */
async function decided<T>({ now }: Judges, call: Call, deciding: Promise<T>): Promise<T> {
  call.decidesSince = now()
  const result = await deciding
  call.decidesSince = undefined
  return result
}

/** Whoever is not known yet is counted by network: what a token says of its owner is not believed. */
function admit(
  { admission }: Judges,
  { remoteAddress }: ClientExchange,
  { user = `\0${addressGroup(remoteAddress)}`, isLong }: Facts,
  call: Call,
): AdmissionResult | Promise<AdmissionResult> {
  return admission.admit(user, isLong ? 'long' : 'short', call)
}
