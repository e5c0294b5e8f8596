/**
 * Log lines that a flood cannot multiply: of each kind the first one, then one a minute with the number of those that
 * were left out. Kinds are a closed list of the caller's.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'

const PAUSE_MS = 60_000

/** Writes a line, or counts it. */
export type ThrottledLog = (kind: string, log: CallLog, level: 'info' | 'warn', fields: object, message: string) => void

/** `now`: milliseconds, from any beginning. */
export function throttledLog(now: () => number): ThrottledLog {
  const kinds = new Map<string, { at: number; leftOut: number }>()
  return (kind, log, level, fields, message) => {
    const time = now()
    const last = kinds.get(kind)
    if (last !== undefined && time - last.at < PAUSE_MS) {
      last.leftOut++
      return
    }
    kinds.set(kind, { at: time, leftOut: 0 })
    log[level]({ ...fields, ...(last === undefined || last.leftOut === 0 ? {} : { leftOut: last.leftOut }) }, message)
  }
}
