/**
 * Reading the fields of a Kubernetes object that came from outside. `null` counts as absent, as everywhere in the
 * Kubernetes API; a wrong type is `body_invalid`, naming the field and never its value.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'

export type Fields = Readonly<Record<string, unknown>>

/** Narrows to a JSON object. */
export function asObject(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ArchwayError('body_invalid', `${where} is missing or not an object`)
  }
  return value as Fields
}

/** An own member; absent and `null` are `undefined`. */
export function member(object: Fields, key: string): unknown {
  return Object.hasOwn(object, key) ? (object[key] ?? undefined) : undefined
}

export function requiredString(object: Fields, key: string, where: string = key): string {
  const value = member(object, key)
  if (typeof value !== 'string') throw new ArchwayError('body_invalid', `${where} is missing or not a string`)
  return value
}

/** A string that may be left out; absent is the empty string, as the Go types have it. */
export function optionalString(object: Fields, key: string, where: string): string {
  const value = member(object, key)
  if (value === undefined) return ''
  if (typeof value !== 'string') throw new ArchwayError('body_invalid', `${where} is not a string`)
  return value
}

/** A list of strings that may be left out. */
export function stringList(object: Fields, key: string, where: string, limit: number): readonly string[] {
  const value = member(object, key)
  if (value === undefined) return []
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw new ArchwayError('body_invalid', `${where} is not a list of strings`)
  }
  if (value.length > limit) throw new ArchwayError('body_invalid', `${where} has more than ${limit} items`)
  return value
}
