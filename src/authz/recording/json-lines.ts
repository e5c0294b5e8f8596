/**
 * JSON lines from a stream: bytes in whatever pieces they come, lines out, none of them longer than was allowed.
 *
 * @module
 */

/** One line without its end; of a line that is too long, only that it was there. */
export type Line =
  | { readonly kind: 'line'; readonly number: number; readonly bytes: Buffer }
  | { readonly kind: 'too-long'; readonly number: number }

export interface LineOptions {
  /** Longest line, in bytes. What is longer is passed over without being kept. */
  readonly maxBytes: number
}

const NEWLINE = 0x0a

/**
 * Splits a stream into lines. Each step yields those that one piece of the stream completed, so that whoever answers
 * them can answer them together. Lines are counted from 1; an empty one counts and is yielded; what follows the last
 * newline is a line if there is anything.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  { maxBytes }: LineOptions,
): AsyncGenerator<readonly Line[]> {
  const cut = lineCutter(maxBytes)
  for await (const chunk of chunks) {
    const lines = cut.take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    if (lines.length > 0) yield lines
  }
  const last = cut.rest()
  if (last.length > 0) yield last
}

function lineCutter(maxBytes: number): { take(chunk: Buffer): readonly Line[]; rest(): readonly Line[] } {
  let held: Buffer[] = []
  let length = 0
  let number = 0

  function finish(): Line {
    const bytes = held.length === 1 && held[0] !== undefined ? held[0] : Buffer.concat(held)
    const tooLong = length > maxBytes
    number += 1
    held = []
    length = 0
    return tooLong ? { kind: 'too-long', number } : { kind: 'line', number, bytes }
  }

  function hold(part: Buffer): void {
    length += part.length
    if (length > maxBytes) held = []
    else held.push(part)
  }

  return {
    take(chunk) {
      const lines: Line[] = []
      let from = 0
      for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
        hold(chunk.subarray(from, end))
        lines.push(finish())
        from = end + 1
      }
      if (from < chunk.length) hold(chunk.subarray(from))
      return lines
    },
    rest: () => (length === 0 ? [] : [finish()]),
  }
}
