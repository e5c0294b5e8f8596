/**
 * One connection to an LDAP server, for one operation at a time. Once it has ended it stays so: it is never opened
 * anew behind its user's back, since the new one would be neither protected by StartTLS nor bound.
 *
 * @module
 */
import { connect, isIP, type Socket } from 'node:net'
import { type SecureContext, connect as secure } from 'node:tls'
import { BindRequest, ExtendedRequest, type Filter, PagedResultsControl, SearchRequest, UnbindRequest } from 'ldapts'
import { messageOf } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { BerError } from './ber.ts'
import { within } from './deadline.ts'
import { connectionFailure, malformed, resultFailure, ServerError } from './failure.ts'
import { type Answer, framing, type LdapResult, type RawEntry, readMessage } from './message.ts'
import type { ServerAddress } from './url.ts'

/** Longest message taken from a server, in bytes: an entry with some thousands of `memberOf`. */
const MAX_MESSAGE_BYTES = 1024 * 1024
/** Most bytes taken for one operation. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

const START_TLS = '1.3.6.1.4.1.1466.20037'
const NOTICE_OF_DISCONNECTION = '1.3.6.1.4.1.1466.20036'

export type Scope = 'base' | 'one' | 'sub'

export interface SearchPageRequest {
  readonly base: string
  readonly scope: Scope
  readonly filter: Filter
  readonly attributes: readonly string[]
  /** Asked of the server; 0: as many as there are. */
  readonly sizeLimit: number
  /** With it the search comes in pages; the cookie is empty for the first. */
  readonly page?: { readonly size: number; readonly cookie: Buffer }
}

export interface SearchPage {
  readonly entries: readonly RawEntry[]
  readonly result: LdapResult
  readonly cookie: Buffer
}

export interface Connection {
  readonly address: ServerAddress
  /** `false`: it has ended. */
  readonly usable: boolean
  /**
   * A simple bind; whoever the connection was bound as before, it is no longer. Neither the name nor the password may be
   * empty: servers take that for an anonymous bind, and say it succeeded (RFC 4513 section 5.1.2).
   */
  bind(dn: string, password: Secret, signal: AbortSignal): Promise<LdapResult>
  /** One search, or one page of it. References to other servers are left out. */
  search(request: SearchPageRequest, signal: AbortSignal): Promise<SearchPage>
  close(): void
}

export interface OpenOptions {
  readonly address: ServerAddress
  readonly trust: SecureContext
  /** Milliseconds: for TCP, StartTLS and TLS together; and for each answer. */
  readonly stepMs: number
}

/** Opens a connection, protected as the address says; where that fails there is none. Throws {@link ServerError}. */
export async function openConnection({ address, trust, stepMs }: OpenOptions, outer: AbortSignal): Promise<Connection> {
  const expired = (): Error =>
    new ServerError('ldap_timeout', `${address.url}: no connection was made within ${stepMs} ms`, { sick: true })
  return within({ ms: stepMs, outer, expired }, async (signal) => {
    const plain = connect({ host: address.host, port: address.port, noDelay: true })
    plain.on('error', () => {}) // reported by whoever waits; without a listener it would end the process
    let socket: Socket = plain
    try {
      await happened(plain, 'connect', signal)
      if (address.protection === 'none') return speakOn(plain, address, stepMs)
      if (address.protection === 'startTls') await startTls(plain, address, signal)
      // For an address the certificate must name it, and no name may be asked for (RFC 6066).
      const name = isIP(address.host) === 0 ? { servername: address.host } : {}
      const options = { socket: plain, host: address.host, secureContext: trust, rejectUnauthorized: true, ...name }
      socket = secure(options)
      socket.on('error', () => {})
      await happened(socket, 'secureConnect', signal)
      return speakOn(socket, address, stepMs)
    } catch (error) {
      socket.destroy()
      plain.destroy()
      throw signal.aborted ? signal.reason : connectionFailure(error, address)
    }
  })
}

/** Waits for an event of a socket, its error, its end, or the signal. */
function happened(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => (): void => {
      socket.off(event, done).off('error', failed).off('close', closed)
      signal.removeEventListener('abort', aborted)
      end()
    }
    const done = settle(resolve)
    const failed = (error: Error): void => settle(() => reject(error))()
    const closed = settle(() => reject(new Error('closed')))
    const aborted = settle(() => reject(signal.reason))
    socket.once(event, done).once('error', failed).once('close', closed)
    signal.addEventListener('abort', aborted, { once: true })
  })
}

/**
 * Asks for TLS. What the server says must be exactly one message: bytes behind it came unprotected, and would be read
 * as if TLS had brought them.
 */
function startTls(socket: Socket, address: ServerAddress, signal: AbortSignal): Promise<void> {
  const frames = framing(4096)
  return new Promise<void>((resolve, reject) => {
    const settle = (failure?: unknown): void => {
      socket.off('data', received).off('error', settle).off('close', closed)
      signal.removeEventListener('abort', aborted)
      socket.pause()
      if (failure === undefined) resolve()
      else reject(failure)
    }
    const closed = (): void => settle(new Error('closed'))
    const aborted = (): void => settle(signal.reason)
    const received = (chunk: Buffer): void => {
      try {
        const [message, surplus] = frames.push(chunk)
        if (message === undefined) return
        const { id, answer } = readMessage(message)
        if (id !== 1 || answer.kind !== 'extended' || surplus !== undefined || frames.pending > 0) {
          throw new BerError('the answer to StartTLS is not one message')
        }
        settle(answer.result.code === 0 ? undefined : refusedTls(answer.result.code, address))
      } catch (error) {
        settle(malformed(address, messageOf(error)))
      }
    }
    socket.on('data', received).once('error', settle).once('close', closed)
    signal.addEventListener('abort', aborted, { once: true })
    socket.write(new ExtendedRequest({ messageId: 1, oid: START_TLS }).write())
  })
}

function refusedTls(code: number, { url }: ServerAddress): ServerError {
  return new ServerError(
    'ldap_unreachable',
    `${url}: it refuses StartTLS (result ${code}); set up TLS there, or use ldaps:`,
    {
      sick: true,
    },
  )
}

/** An operation under way. */
interface Pending {
  readonly id: number
  take(answer: Answer): void
  fail(error: unknown): void
}

/** LDAP on a socket that is as protected as it is going to be. */
function speakOn(socket: Socket, address: ServerAddress, stepMs: number): Connection {
  const frames = framing(MAX_MESSAGE_BYTES)
  let pending: Pending | undefined
  let lastId = 0
  let taken = 0 // bytes of the present operation
  let ended = false

  function end(error: unknown): void {
    if (ended) return
    ended = true
    socket.destroy()
    pending?.fail(error)
  }

  function received(chunk: Buffer): void {
    try {
      taken += chunk.length
      if (taken > MAX_ANSWER_BYTES) throw new BerError(`an answer of more than ${MAX_ANSWER_BYTES} bytes`)
      for (const message of frames.push(chunk)) {
        const { id, answer } = readMessage(message)
        if (id === 0 && answer.kind === 'extended') unasked(answer)
        else if (pending === undefined || id !== pending.id) throw new BerError('an answer to nothing')
        else pending.take(answer)
      }
    } catch (error) {
      end(error instanceof BerError ? malformed(address, error.message) : error)
    }
  }

  /** Of what a server may say unasked, only its farewell concerns us (RFC 4511 section 4.4). */
  function unasked({ name, result }: Extract<Answer, { kind: 'extended' }>): void {
    if (name !== NOTICE_OF_DISCONNECTION) return
    const message = `${address.url}: it said that it ends the connection (result ${result.code})`
    end(new ServerError('ldap_unreachable', message, { sick: true, lost: true }))
  }

  socket.on('data', received)
  socket.once('error', (error) => end(connectionFailure(error, address)))
  socket.once('end', () => end(connectionFailure(undefined, address)))
  socket.once('close', () => end(connectionFailure(undefined, address)))
  socket.resume()

  /** Sends a request; `take` gives the result once the answer is whole. */
  function exchange<T>(
    write: (messageId: number) => Buffer,
    take: (answer: Answer) => T | undefined,
    outer: AbortSignal,
  ): Promise<T> {
    const expired = (): Error =>
      new ServerError('ldap_timeout', `${address.url}: no answer within ${stepMs} ms`, { sick: true })
    return within({ ms: stepMs, outer, expired }, (signal) => {
      return new Promise<T>((resolve, reject) => {
        if (ended) return reject(connectionFailure(undefined, address))
        if (pending !== undefined) return reject(new Error('an LDAP connection takes one operation at a time'))
        const settle = (): void => {
          pending = undefined
          signal.removeEventListener('abort', abort)
        }
        const abort = (): void => end(signal.reason) // the answer may still come: nobody else may get it
        lastId = (lastId % 0x7fffffff) + 1
        taken = 0
        pending = {
          id: lastId,
          take(answer) {
            const result = take(answer)
            if (result === undefined) return
            settle()
            resolve(result)
          },
          fail(error) {
            settle()
            reject(error)
          },
        }
        signal.addEventListener('abort', abort, { once: true })
        socket.write(write(lastId))
      })
    })
  }

  return {
    address,
    get usable() {
      return !ended
    },

    async bind(dn, password, signal) {
      const secret = password.reveal()
      if (dn === '' || secret === '') throw new Error('a bind without a name or without a password proves nothing')
      const write = (messageId: number): Buffer => new BindRequest({ messageId, dn, password: secret }).write()
      return exchange(write, (answer) => only(answer, 'bind').result, signal)
    },

    async search(request, signal) {
      const entries: RawEntry[] = []
      const take = (answer: Answer): SearchPage | undefined => {
        if (answer.kind === 'reference') return undefined
        if (answer.kind !== 'entry') return { entries, ...only(answer, 'done') }
        entries.push(answer.entry)
        return undefined
      }
      return exchange((messageId) => searchMessage(messageId, request, stepMs), take, signal)
    },

    close() {
      if (ended) return
      ended = true
      socket.end(new UnbindRequest({ messageId: (lastId % 0x7fffffff) + 1 }).write())
      socket.destroySoon()
      pending?.fail(connectionFailure(undefined, address))
    },
  }
}

function only<K extends Answer['kind']>(answer: Answer, kind: K): Extract<Answer, { kind: K }> {
  if (answer.kind !== kind) throw new BerError(`a ${kind} answer was due, and another came`)
  return answer as Extract<Answer, { kind: K }>
}

function searchMessage(messageId: number, request: SearchPageRequest, stepMs: number): Buffer {
  const { base, scope, filter, attributes, sizeLimit, page } = request
  return new SearchRequest({
    messageId,
    baseDN: base,
    scope,
    filter,
    attributes: [...attributes],
    sizeLimit,
    timeLimit: Math.ceil(stepMs / 1000),
    ...(page === undefined
      ? {}
      : { controls: [new PagedResultsControl({ value: { size: page.size, cookie: page.cookie } })] }),
  }).write()
}

/** Throws unless the operation succeeded. */
export function demandSuccess({ code }: LdapResult, doing: string, address: ServerAddress): void {
  if (code !== 0) throw resultFailure(code, doing, address)
}
