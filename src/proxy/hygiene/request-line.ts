/**
 * Method and target of a request: which methods there are, and targets that everything behind reads alike. Nothing is
 * normalised; what is passed on is what came.
 *
 * @module
 */
import type { Refusal } from './hygiene.ts'
import { malformed, refusal } from './refusal.ts'

/** The methods of the Kubernetes API, and those it opens towards pods and services: no others have a verb. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Controls, spaces, what is not ASCII; and `#`, which is taken for the end of the target, or not. */
const OUTSIDE = /[^!-"$-~]/

const BAD_METHOD = refusal(405, 'H8', `the method is none of the Kubernetes API: use ${[...METHODS].join(', ')}`)
const BAD_FORM = malformed('H5', 'the target has no path: write "/path", without scheme and host')
const BAD_TARGET = malformed('H5', 'the target has characters that no URL has: percent-encode them, leave out "#"')
const BAD_ESCAPE = malformed('H5', 'the path has a "%" without two hexadecimal digits: write "%25"')

export function requestLineProblem(method: string, target: string): Refusal | undefined {
  if (!METHODS.has(method)) return BAD_METHOD
  if (target.charCodeAt(0) !== 0x2f) return BAD_FORM
  if (OUTSIDE.test(target)) return BAD_TARGET
  return target.includes('%') && hasBrokenEscape(target) ? BAD_ESCAPE : undefined
}

/** Of the path only: Go refuses such a path, and leaves a broken parameter of a query out. */
function hasBrokenEscape(target: string): boolean {
  const mark = target.indexOf('?')
  return /%(?![0-9a-fA-F]{2})/.test(mark === -1 ? target : target.slice(0, mark))
}

/** Name or address, and a port; RFC 3986 without user information. */
const AUTHORITY = /^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/

export function isAuthority(host: string): boolean {
  return host.length <= 261 && AUTHORITY.test(host)
}
