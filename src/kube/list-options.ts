/**
 * What the query of a list or watch asks for, as far as it decides what the request is about: `watch`, and the one
 * object that a field selector may narrow it to. Read as kube-apiserver decodes `ListOptions`, mistakes included.
 *
 * @module
 */

import { exactName, isLabelSelector } from './selectors.ts'

export interface ListOptions {
  readonly watch: boolean
  /** Of the one object that `fieldSelector` asks for; empty where it does not, or where any option is malformed. */
  readonly name: string
  /** As asked for, decoded once. */
  readonly fieldSelector: string
  readonly labelSelector: string
  /** A bare `;`: what the parameters are depends on the version of the API server. */
  readonly isAmbiguous: boolean
}

const NONE: ListOptions = { watch: false, name: '', fieldSelector: '', labelSelector: '', isAmbiguous: false }

/** Reads a query without its `?`; of a parameter that stands twice the first counts. */
export function readListOptions(query: string): ListOptions {
  if (query === '') return NONE
  const values = parameters(query)
  const watch = values.get('watch')?.toLowerCase()
  const fieldSelector = values.get('fieldSelector') ?? ''
  const labelSelector = values.get('labelSelector') ?? ''
  return {
    watch: watch !== undefined && watch !== 'false' && watch !== '0',
    name: fieldSelector === '' ? '' : nameOf(fieldSelector, values),
    fieldSelector,
    labelSelector,
    isAmbiguous: query.includes(';'),
  }
}

/** A pair whose escapes are broken, or with a `;` in it, is left out, as Go's `url.ParseQuery` does. */
function parameters(query: string): Map<string, string> {
  const values = new Map<string, string>()
  for (const pair of query.split('&')) {
    if (pair === '' || pair.includes(';')) continue
    const equals = pair.indexOf('=')
    const key = decoded(equals === -1 ? pair : pair.slice(0, equals))
    const value = equals === -1 ? '' : decoded(pair.slice(equals + 1))
    if (key !== undefined && value !== undefined && !values.has(key)) values.set(key, value)
  }
  return values
}

function decoded(text: string): string | undefined {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    if (/%(?![0-9a-fA-F]{2})/.test(spaced)) return undefined
    const bytes = spaced.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    return Buffer.from(bytes, 'latin1').toString('utf8')
  }
}

/** Options are decoded together: one that is malformed takes the name with it. */
function nameOf(fieldSelector: string, values: ReadonlyMap<string, string>): string {
  const name = exactName(fieldSelector)
  if (name === undefined || name === '.' || name === '..' || /[/%]/.test(name)) return ''
  const isWellFormed =
    isInteger(values.get('timeoutSeconds')) &&
    isInteger(values.get('limit')) &&
    isLabelSelector(values.get('labelSelector') ?? '')
  return isWellFormed ? name : ''
}

/** Absent, or what Go takes for an `int64`. */
function isInteger(text: string | undefined): boolean {
  if (text === undefined) return true
  if (!/^[+-]?\d{1,32}$/.test(text)) return false
  const value = BigInt(text.replace('+', ''))
  return BigInt.asIntN(64, value) === value
}
