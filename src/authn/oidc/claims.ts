/**
 * Claims: the content of a token, read so that there is one way to read it. Maps stand for objects, so that no claim
 * (`__proto__`) is anything but a claim; whole numbers are `bigint`, so that two long ones never become one.
 *
 * @module
 */
import { structureProblem } from '../../json.ts'

export type ClaimValue = string | number | bigint | boolean | null | readonly ClaimValue[] | Claims
export type Claims = ReadonlyMap<string, ClaimValue>

/** A JSON object that was read, or what is wrong with it beside being unreadable. */
export interface ReadObject {
  readonly value: Claims
  /** A key stands twice, or it is nested too deeply: two readers could see two tokens. */
  readonly problem: string | undefined
}

const LIMITS = { maxDepth: 16, maxKeys: 256 }
const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)

/** Reads the bytes of a JSON object; `undefined` where they are none. */
export function readObject(bytes: Uint8Array): ReadObject | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const value: unknown = JSON.parse(text, revive)
    if (!(value instanceof Map)) return undefined
    return { value, problem: structureProblem(text, LIMITS) }
  } catch {
    return undefined // the message of a SyntaxError quotes the text
  }
}

/** Seconds since the epoch of a NumericDate (RFC 7519, section 2); `undefined` for anything else. */
export function numericDate(value: ClaimValue | undefined): number | undefined {
  if (typeof value !== 'number' && typeof value !== 'bigint') return undefined
  const seconds = Number(value)
  return Number.isFinite(seconds) ? seconds : undefined
}

/** A list of strings, or one string as such a list; `undefined` for anything else. */
export function stringOrList(value: ClaimValue | undefined): readonly string[] | undefined {
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) return undefined
  const strings = value.filter((item) => typeof item === 'string')
  return strings.length === value.length ? strings : undefined
}

/** Called from the inside out: what an object holds has been revived already. */
function revive(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value === 'number') return exactNumber(value, context?.source)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return new Map(Object.entries(value))
}

/** A whole number written as one, as Kubernetes reads it: an integer of 64 bits, and beyond that a float. */
function exactNumber(value: number, source: string | undefined): number | bigint {
  if (source === undefined) return Number.isSafeInteger(value) ? BigInt(value) : value
  if (!/^-?\d{1,19}$/.test(source)) return value
  const whole = BigInt(source)
  return whole <= INT64_MAX && whole >= INT64_MIN ? whole : value
}
