/**
 * PEM: the blocks of a text, in order, each with its label. Linear in the length of the text, whatever it is. What ends
 * a line and what may stand around it are as in Go: what we take for a block, Kubernetes does not pass over.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7468
 * @module
 */

export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly label: string
  /** Whether there are headers before the content, as older encrypted keys have. */
  readonly hasHeaders: boolean
  /** Undefined where what is between the lines is no base64, or the end is missing. */
  readonly der: Buffer | undefined
  /** Line of BEGIN, counted from 1. */
  readonly line: number
}

const BEGIN = /^-----BEGIN ([A-Z\d][A-Z\d# ]{0,63})-----[ \t]*$/
const BASE64 = /^[A-Za-z\d+/]+={0,2}$/

/** The blocks of a text; what is around them does not matter. */
export function readPem(text: string): PemBlock[] {
  const lines = text.split(/\r?\n/)
  const blocks: PemBlock[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const label = BEGIN.exec(lines[at] ?? '')?.[1]
    if (label === undefined) continue
    const line = at + 1
    const end = `-----END ${label}-----`
    const body: string[] = []
    for (at += 1; at < lines.length; at += 1) {
      const next = lines[at] ?? ''
      if (next.startsWith('-----')) break
      body.push(trimmed(next))
    }
    const isClosed = trimmed(lines[at] ?? '') === end
    if (!isClosed) at -= 1 // whatever stands here may begin a block itself
    blocks.push(blockOf(label, isClosed ? body : undefined, line))
  }
  return blocks
}

/** Without the spaces and tabs around it, and no others: JavaScript knows more of them than anybody else. */
function trimmed(line: string): string {
  return line.replace(/^[ \t]+|(?<![ \t])[ \t]+$/g, '')
}

function blockOf(label: string, body: readonly string[] | undefined, line: number): PemBlock {
  const blank = body?.indexOf('') ?? -1
  const hasHeaders = body?.[0]?.includes(':') === true
  const content = (hasHeaders ? body?.slice(blank + 1) : body)?.join('') ?? ''
  const isBase64 = BASE64.test(content) && content.length % 4 === 0
  return { label, hasHeaders, der: isBase64 ? Buffer.from(content, 'base64') : undefined, line }
}

/** One block of PEM, with a line feed at its end. */
export function writePem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}
