/**
 * The one shape of request the fast lane reads: what the Kubernetes API server sends. Anything that has a second
 * reading, or that is only unusual, is not canonical; it goes to `node:http`, so no general HTTP parser is needed here
 * and there is none to be fooled.
 *
 * @module
 */

/** What the lane needs of a canonical head. */
export interface CanonicalHead {
  readonly path: string
  readonly contentType: string | undefined
  /** Bytes of the body. */
  readonly length: number
}

/** Why a connection left the fast lane; a closed list, fit for a metric label. */
export type FallBackReason = 'head-split' | 'head-too-long' | 'request-line' | 'header' | 'framing' | 'body-too-long'

const REQUEST_LINE = /^POST (\/[A-Za-z\d/._~-]*)(?:\?[A-Za-z\d=&._~%-]*)? HTTP\/1\.1\r\n/
/** Printable ASCII, one space after the colon, none at the end: no two parsers differ about such a line. */
const HEADER_LINE = /^([A-Za-z-]{1,40}): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)$/
const LENGTH = /^\d{1,7}$/
/** Headers without meaning for us; harmless in any number. */
const IGNORED: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'authorization',
  'baggage',
  'traceparent',
  'tracestate',
  'user-agent',
])

/**
 * Reads a head.
 *
 * @param text from the request line to the CRLF of the last header line, one character per byte
 * @param paths that may be asked for
 */
export function readCanonicalHead(text: string, paths: ReadonlySet<string>): CanonicalHead | FallBackReason {
  const line = REQUEST_LINE.exec(text)
  const path = line?.[1]
  if (line === null || path === undefined || !paths.has(path)) return 'request-line'

  let hosts = 0
  let length: string | undefined
  let contentType: string | undefined
  for (const headerLine of text.slice(line[0].length, -2).split('\r\n')) {
    const header = HEADER_LINE.exec(headerLine)
    if (header === null) return 'header'
    const [, name = '', value = ''] = header
    const known = name.toLowerCase()
    switch (known) {
      case 'host':
        hosts += 1
        break
      case 'content-length':
        if (length !== undefined || !LENGTH.test(value)) return 'framing'
        length = value
        break
      case 'content-type':
        if (contentType !== undefined) return 'header'
        contentType = value
        break
      case 'connection':
        if (value.toLowerCase() !== 'keep-alive') return 'framing'
        break
      default:
        if (!IGNORED.has(known)) return 'header'
    }
  }
  if (hosts !== 1 || length === undefined) return 'framing'
  return { path, contentType, length: Number(length) }
}
