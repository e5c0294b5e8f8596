/**
 * The text of a header's value.
 *
 * @module
 */

/**
 * Takes the value as `node:http` hands it over, one character a byte, and reads those as UTF-8; bytes that are not
 * UTF-8 stay as they are.
 */
export function headerText(value: string): string {
  if (!/[\x80-\xff]/.test(value) || /[^\0-\xff]/.test(value)) return value
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, 'latin1'))
  } catch {
    return value
  }
}
