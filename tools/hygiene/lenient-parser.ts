/** Requests as a careless server reads them: lone line feeds, two lengths, any coding that has "chunked" in it. */

const HEAD_END = /\r?\n\r?\n/

/** The first head of `text` with what ends it; undefined where it is not whole. */
export function firstHead(text: string): { readonly head: string; readonly length: number } | undefined {
  const blank = /^[\r\n]*/.exec(text)?.[0].length ?? 0
  const end = HEAD_END.exec(text.slice(blank))
  if (end === null) return undefined
  return { head: text.slice(blank, blank + end.index), length: blank + end.index + end[0].length }
}

/** How long the body is that belongs to `head` and begins `text`; undefined where it is not whole. */
export function bodyLength(head: string, text: string): number | undefined {
  if (/chunked/i.test(headerOf(head, 'transfer-encoding') ?? '')) return chunkedLength(text)
  const length = Number.parseInt(headerOf(head, 'content-length') ?? '0', 10)
  if (!(length > 0)) return 0
  return text.length < length ? undefined : length
}

/** The value of the first line of that name, however it is spelled. */
function headerOf(head: string, name: string): string | undefined {
  return linesOf(head).find((line) => foldedName(line.name) === name)?.value
}

export interface HeaderLine {
  readonly name: string
  readonly value: string
}

/** Header lines, the request line left out. */
export function linesOf(head: string): HeaderLine[] {
  return head
    .split(/\r?\n/)
    .slice(1)
    .map((line) => {
      const colon = line.indexOf(':')
      return colon === -1
        ? { name: line, value: '' }
        : { name: line.slice(0, colon), value: line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '') }
    })
}

/** What a name reads like to whatever takes `_` and `.` for `-`. */
export function foldedName(name: string): string {
  return name.trim().toLowerCase().replace(/[_.]/g, '-')
}

function chunkedLength(text: string): number | undefined {
  let at = 0
  for (;;) {
    const end = text.indexOf('\n', at)
    if (end === -1) return undefined
    const size = Number.parseInt(text.slice(at, end), 16)
    at = end + 1
    if (!(size > 0)) break
    at += size
    if (at > text.length) return undefined
    at += /^\r?\n?/.exec(text.slice(at, at + 2))?.[0].length ?? 0
  }
  if (/^\r?\n/.test(text.slice(at, at + 2))) return at + (text[at] === '\r' ? 2 : 1)
  const end = HEAD_END.exec(text.slice(at)) // behind trailers
  return end === null ? undefined : at + end.index + end[0].length
}
