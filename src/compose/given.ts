/**
 * What the cross-checks of the configuration have made sure of.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'

/** A value that is there, or the configuration was not made for this door. */
export function given(value: string | undefined, name: string): string {
  if (value === undefined) throw new ArchwayError('config_invalid', `${name} is missing`)
  return value
}
