/**
 * The access log: one line for every request, always with the same message. Says who did what to which object and what
 * came of it; never a query, where people put what is secret, nor a header.
 *
 * A request is a `decision`, the record that nobody has to act on; a server that failed is a warning; somebody kept out
 * because nothing could be told, or nobody could be asked, is an error.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import type { RequestInfo } from '../../kube/request-info.ts'
import type { ProxyObservation, ProxyOutcome } from '../observation.ts'
import { resourceName } from './labels.ts'

export interface AccessLog extends CallLog {
  decision(fields: object, message: string): void
}

const LEVELS: Readonly<Record<ProxyOutcome, 'decision' | 'warn' | 'error'>> = {
  forwarded: 'decision',
  upgraded: 'decision',
  refused: 'decision', // what a stranger sends is nobody's alarm; the metric tells a flood
  unauthenticated: 'decision',
  forbidden: 'decision',
  limited: 'decision',
  canceled: 'decision',
  failed: 'warn',
  unavailable: 'error',
  undecided: 'error',
}

/** Longest text of a stranger's that is logged; an object's name has 253 characters. */
const LONGEST = 1024

export function accessLog(log: AccessLog): (observation: ProxyObservation) => void {
  return (seen) => log[LEVELS[seen.outcome]](fieldsOf(seen), 'request')
}

/** What is `undefined` is not in the line. */
function fieldsOf(seen: ProxyObservation): object {
  const { info } = seen
  const object = info?.isResourceRequest === true ? info : undefined
  return {
    requestId: seen.requestId,
    outcome: seen.outcome,
    cause: seen.cause,
    user: seen.user,
    source: seen.source,
    verb: info?.verb,
    resource: object && bounded(objectOf(object)),
    namespace: bounded(object?.namespace) || undefined,
    name: bounded(object?.name) || undefined,
    method: bounded(seen.method),
    path: bounded(seen.path),
    protocol: seen.protocol,
    code: seen.status,
    bytesIn: seen.bytesIn,
    bytesOut: seen.bytesOut,
    upstream: seen.upstream,
    ms: milliseconds(seen.seconds),
    headMs: seen.secondsToHead === undefined ? undefined : milliseconds(seen.secondsToHead),
    auditId: seen.auditId,
    traceId: seen.traceId,
    remote: seen.remoteAddress,
    spoofed: seen.spoofed || undefined,
  }
}

/** Whoever is nobody yet is in the line as well: it is not theirs to fill the disk. */
function bounded<Text extends string | undefined>(text: Text): Text | string {
  return text !== undefined && text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}

/** `apps/deployments/scale`, `pods/exec`. */
function objectOf(info: RequestInfo): string {
  return info.subresource === '' ? resourceName(info) : `${resourceName(info)}/${info.subresource}`
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e3
}
