/**
 * Whether an entry is what it is to be, and what would change. Owns what of an entry may be shown: a list of what is
 * known to be harmless; everything else is `[redacted]`.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Fields } from '../fields.ts'
import { ordered } from './entries.ts'

/** One line of a difference: what goes, what comes. */
export interface Difference {
  readonly sign: '-' | '+'
  /** `exec.args[1]: …` */
  readonly text: string
}

/** Whether clients would take the two for the same. An absent value, null, false and an empty list are one. */
export function sameSettings(one: object, other: object): boolean {
  return isDeepStrictEqual(withoutEmpty(one), withoutEmpty(other))
}

/** What {@link differences} needs. */
export interface DifferencesOptions {
  readonly existing: Fields
  readonly wanted: object
  /** Whether the values of a flag of the program to run (`keystone-url`, without dashes) may be shown. */
  readonly isHarmlessFlag: (name: string) => boolean
}

/** What of `existing` would go, and what of `wanted` would come. */
export function differences({ existing, wanted, isHarmlessFlag }: DifferencesOptions): readonly Difference[] {
  const shown = (path: string, value: unknown): string => shownValue(path, value, isHarmlessFlag)
  const [old, new_] = [flat(existing), flat(wanted)]
  const paths = [...new Set([...old.keys(), ...new_.keys()])].sort()
  return paths.flatMap((path): readonly Difference[] => {
    const [before, after] = [old.get(path), new_.get(path)]
    if (isDeepStrictEqual(before, after)) return []
    return [
      ...(before === undefined ? [] : [{ sign: '-' as const, text: `${printable(path)}: ${shown(path, before)}` }]),
      ...(after === undefined ? [] : [{ sign: '+' as const, text: `${printable(path)}: ${shown(path, after)}` }]),
    ]
  })
}

/** What kubectl leaves out or puts in as it likes when it writes the file. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(
    ([, item]) => item !== undefined && item !== null && item !== false && !(Array.isArray(item) && item.length === 0),
  )
  return ordered(Object.fromEntries(kept.map(([key, item]) => [key, withoutEmpty(item)])))
}

function flat(value: unknown, path = ''): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null) return value == null ? new Map() : new Map([[path, value]])
  const inside = Array.isArray(value)
    ? value.map((item, index) => flat(item, `${path}[${index}]`))
    : Object.entries(value).map(([key, item]) => flat(item, path === '' ? key : `${path}.${key}`))
  return new Map(inside.flatMap((map) => [...map]))
}

const HARMLESS = new Set([
  'certificate-authority',
  'client-certificate',
  'client-key',
  'cluster',
  'disable-compression',
  'exec.apiVersion',
  'exec.command',
  'exec.installHint',
  'exec.interactiveMode',
  'exec.provideClusterInfo',
  'insecure-skip-tls-verify',
  'namespace',
  'server',
  'tls-server-name',
  'tokenFile',
  'user',
])
const ADDRESSES = new Set(['proxy-url', 'server'])
const CERTIFICATES = new Set(['certificate-authority-data', 'client-certificate-data'])

const REDACTED = '[redacted]'

function shownValue(path: string, value: unknown, isHarmlessFlag: (name: string) => boolean): string {
  if (CERTIFICATES.has(path)) return `${REDACTED.slice(0, -1)}, SHA-256 ${digest(value)}]`
  if (ADDRESSES.has(path)) return quoted(withoutCredentials(String(value)))
  if (/^exec\.args\[\d+\]$/.test(path)) return quoted(argument(path, String(value), isHarmlessFlag))
  if (/^exec\.env\[\d+\]\.name$/.test(path) || HARMLESS.has(path)) return quoted(value)
  return REDACTED
}

function quoted(value: unknown): string {
  return printable(JSON.stringify(value))
}

/** On one line of a terminal, and without a hold on it. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, '?')
}

function digest(value: unknown): string {
  return createHash('sha256').update(String(value)).digest('hex').slice(0, 16)
}

function withoutCredentials(address: string): string {
  return address.replace(/\/\/[^/?#]*@/, `//${REDACTED}@`)
}

/**
 * The word at the beginning, which is a command, and the names of flags; a value only where the flag is one whose values
 * are no secrets. A word further on may be the value of the flag before it.
 */
function argument(path: string, text: string, isHarmlessFlag: (name: string) => boolean): string {
  const [, name = '', equals = ''] = /^--([a-z][a-z-]*)(=|$)/.exec(text) ?? []
  if (name !== '' && equals === '') return text
  if (name !== '') return isHarmlessFlag(name) ? withoutCredentials(text) : `--${name}=${REDACTED}`
  return path === 'exec.args[0]' && /^[a-z][a-z-]{0,15}$/.test(text) ? text : REDACTED
}
