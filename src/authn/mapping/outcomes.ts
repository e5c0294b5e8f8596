/**
 * What an expression's value becomes in an identity: a name, or a list of texts. Anything else is no name.
 *
 * @module
 */
import type { Expression } from './expression.ts'

/** A value that can be used, or why there is none; `reason` has nothing of the values. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string }

type Variables = Readonly<Record<string, unknown>>

/** A text; an empty one is one. */
export function stringFrom(expression: Expression, variables: Variables): Outcome<string> {
  const found = expression.evaluate(variables)
  if (found.kind === 'failed') return { ok: false, reason: found.reason }
  return typeof found.value === 'string'
    ? { ok: true, value: found.value }
    : { ok: false, reason: 'it gives no string' }
}

/** A list of texts, or one text as such a list; nothing, the empty text and the empty list are the empty list. */
export function stringsFrom(expression: Expression, variables: Variables): Outcome<readonly string[]> {
  const found = expression.evaluate(variables)
  if (found.kind === 'failed') return { ok: false, reason: found.reason }
  const strings = toStrings(found.value)
  return strings === undefined
    ? { ok: false, reason: 'it gives neither a string nor a list of strings' }
    : { ok: true, value: strings }
}

/** Whether a rule holds. Only true is true. */
export function holds(expression: Expression, variables: Variables): Outcome<boolean> {
  const found = expression.evaluate(variables)
  if (found.kind === 'failed') return { ok: false, reason: found.reason }
  return { ok: true, value: found.value === true }
}

function toStrings(value: unknown): readonly string[] | undefined {
  if (value === null || value === '') return []
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) return undefined
  const strings = value.filter((item): item is string => typeof item === 'string')
  return strings.length === value.length ? strings : undefined
}
