/**
 * What came from outside and goes to a terminal.
 *
 * @module
 */

/** The text without control characters, and without what turns its direction around or hides in it. */
export function plainText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
}
