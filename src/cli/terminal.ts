/**
 * Text of strangers on the way to a terminal: it is shown, and does nothing there.
 *
 * @module
 */

/** Control, format and bidirectional characters would let a name say something else on a terminal. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}

/** The same for a message of several lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** JSON that is the same to a program, and harmless to a terminal. */
export function asJson(value: unknown): string {
  const text = JSON.stringify(value, null, 2)
  const escaped = text.replace(/[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu, (char) =>
    Array.from({ length: char.length }, (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  )
  return `${escaped}\n`
}
