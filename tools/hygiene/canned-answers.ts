/** What the recorder answers: what it received, or, where the target asks for it (`?answer=…`), something hostile. */

/** A host that is nobody's (RFC 6761). */
const ELSEWHERE = 'hygiene-elsewhere.invalid'

/** By the word behind `answer=`: status line and lines of the head. */
const CANNED: ReadonlyMap<string, readonly string[]> = new Map([
  ['redirect-host', ['302 Found', `Location: https://${ELSEWHERE}/`]],
  ['redirect-slashes', ['307 Temporary Redirect', `Location: //${ELSEWHERE}/`]],
  ['redirect-backslash', ['301 Moved Permanently', `Location: /\\${ELSEWHERE}/`]],
  ['hop-by-hop', ['200 OK', 'Connection: X-Hygiene-Hop', 'X-Hygiene-Hop: hygiene-hop', 'Keep-Alive: timeout=99']],
  ['identity', ['200 OK', 'X-Remote-User: hygiene-leak']],
  ['forbidden', ['403 Forbidden']],
  ['other-protocol', ['101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: hygiene-other-protocol']],
])

export interface Answer {
  readonly text: string
  /** The connection ends with it. A tunnel does not: what comes through it is answered like a request. */
  readonly isLast: boolean
}

/** The answer to a request with this head; `body` where nothing else is asked for. */
export function answerTo(head: string, body: string): Answer {
  const canned = CANNED.get(/[?&]answer=([a-z-]+)/.exec(head)?.[1] ?? '')
  if (canned?.[0]?.startsWith('101') === true) return { text: `HTTP/1.1 ${canned.join('\r\n')}\r\n\r\n`, isLast: false }
  const isLast = /^connection:.*\bclose\b/im.test(head)
  const [status, ...lines] = canned ?? ['200 OK']
  const text = [
    `HTTP/1.1 ${status}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    ...(isLast ? ['Connection: close'] : []),
    ...lines,
    '',
    head.startsWith('HEAD ') ? '' : body,
  ].join('\r\n')
  return { text, isLast }
}
