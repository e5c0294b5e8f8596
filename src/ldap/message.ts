/**
 * LDAP messages from a server (RFC 4511): bytes → typed. What is not exactly a message is an error, never a default: a
 * bind response without a result code is not a success.
 *
 * ldapts writes our messages; it does not read the answers. Its reader takes a missing result code for 0, which is
 * success, takes any kind of message as the answer to any request, and keeps bytes over a StartTLS.
 *
 * @module
 */
import { BerError, type Element, elements, expect, header, TAG, text, unsigned } from './ber.ts'

/** LDAPResult: how an operation ended. */
export interface LdapResult {
  readonly code: number
  /** The server's words. For reading codes out of; never for an asker. */
  readonly diagnostic: string
}

/** An entry as it came. Descriptions (`memberOf`, `userCertificate;binary`) are as the server wrote them. */
export interface RawEntry {
  readonly dn: string
  readonly attributes: readonly { readonly description: string; readonly values: readonly Buffer[] }[]
}

export type Answer =
  | { readonly kind: 'bind'; readonly result: LdapResult }
  | { readonly kind: 'entry'; readonly entry: RawEntry }
  | { readonly kind: 'reference' }
  /** `cookie`: of the paged results control; empty where there is no further page. */
  | { readonly kind: 'done'; readonly result: LdapResult; readonly cookie: Buffer }
  | { readonly kind: 'extended'; readonly result: LdapResult; readonly name: string | undefined }

export interface IncomingMessage {
  /** 0: said without being asked. */
  readonly id: number
  readonly answer: Answer
}

const OPERATION = { bind: 0x61, entry: 0x64, done: 0x65, reference: 0x73, extended: 0x78 } as const
const CONTROLS = 0xa0
const EXTENDED_NAME = 0x8a
const PAGED_RESULTS = '1.2.840.113556.1.4.319'

/** Reads one message. Throws {@link BerError}. */
export function readMessage(bytes: Buffer): IncomingMessage {
  const [envelope, surplus] = elements(bytes)
  if (surplus !== undefined) throw new BerError('more than one message')
  const [id, operation, ...rest] = elements(expect(envelope, TAG.sequence))
  if (operation === undefined) throw new BerError('a message without an operation')
  return { id: unsigned(id, TAG.integer), answer: readOperation(operation, rest) }
}

function readOperation({ tag, content }: Element, rest: readonly Element[]): Answer {
  const parts = elements(content)
  switch (tag) {
    case OPERATION.bind:
      return { kind: 'bind', result: readResult(parts) }
    case OPERATION.entry:
      return { kind: 'entry', entry: readEntry(parts) }
    case OPERATION.reference:
      return { kind: 'reference' }
    case OPERATION.done:
      return { kind: 'done', result: readResult(parts), cookie: readCookie(rest) }
    case OPERATION.extended: {
      const name = parts.find((part) => part.tag === EXTENDED_NAME)
      return { kind: 'extended', result: readResult(parts), name: name?.content.toString('latin1') }
    }
    default:
      throw new BerError(`an operation nobody asked for (${tag})`)
  }
}

function readResult([code, matched, diagnostic]: readonly Element[]): LdapResult {
  expect(matched, TAG.octets)
  return { code: unsigned(code, TAG.enumerated), diagnostic: expect(diagnostic, TAG.octets).toString() }
}

function readEntry([dn, list]: readonly Element[]): RawEntry {
  const attributes = elements(expect(list, TAG.sequence)).map((attribute) => {
    const [description, values] = elements(expect(attribute, TAG.sequence))
    return {
      description: text(description),
      values: elements(expect(values, TAG.set)).map((value) => expect(value, TAG.octets)),
    }
  })
  return { dn: text(dn), attributes }
}

function readCookie(rest: readonly Element[]): Buffer {
  for (const control of elements(rest.find(({ tag }) => tag === CONTROLS)?.content ?? Buffer.alloc(0))) {
    const parts = elements(expect(control, TAG.sequence))
    if (text(parts[0]) !== PAGED_RESULTS) continue
    const [value] = elements(expect(parts.at(-1), TAG.octets))
    const [, cookie] = elements(expect(value, TAG.sequence))
    return expect(cookie, TAG.octets)
  }
  return Buffer.alloc(0)
}

export interface Framing {
  /** Takes what was received; gives the messages that are whole by now. Throws {@link BerError}. */
  push(chunk: Buffer): Buffer[]
  /** Bytes of a message that has begun and not ended. */
  readonly pending: number
}

/** Cuts a stream into messages of at most `maxBytes` each. */
export function framing(maxBytes: number): Framing {
  let chunks: Buffer[] = []
  let held = 0
  let needed = 2 // bytes without which nothing more can be said

  return {
    get pending() {
      return held
    },
    push(chunk) {
      chunks.push(chunk)
      held += chunk.length
      if (held < needed) return []
      let rest = Buffer.concat(chunks)
      const whole: Buffer[] = []
      for (;;) {
        if (rest.length > 0 && rest[0] !== TAG.sequence) throw new BerError('the bytes are not LDAP')
        const size = header(rest)
        const total = size === undefined ? rest.length + 1 : size.head + size.length
        if (size !== undefined && total > maxBytes) throw new BerError(`a message of more than ${maxBytes} bytes`)
        if (rest.length < total) {
          needed = total
          break
        }
        whole.push(rest.subarray(0, total))
        rest = rest.subarray(total)
      }
      chunks = rest.length === 0 ? [] : [rest]
      held = rest.length
      return whole
    },
  }
}
