/**
 * How a request is refused here.
 *
 * @module
 */
import type { Refusal } from './hygiene.ts'

/** 400, the usual one. */
export function malformed(threat: string, message: string): Refusal {
  return refusal(400, threat, message)
}

export function refusal(status: number, threat: string, message: string): Refusal {
  return { kind: 'refused', status, message, threat }
}
