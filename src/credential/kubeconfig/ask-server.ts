/**
 * One look at a server's certificate, and one request to it. Owns TLS as clients of Kubernetes do it: any certificate of
 * the given authorities is an anchor, the name is checked. Redirects are not followed.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto'
import { request } from 'node:https'
import { isIP } from 'node:net'
import { type ConnectionOptions, connect, getCACertificates } from 'node:tls'
import { messageOf } from '../../errors.ts'
import type { Secret } from '../../secret.ts'
import type { ServerAddress } from './server-address.ts'

/** Which server, and whom to believe that it is. */
export interface ServerToAsk {
  readonly address: ServerAddress
  /** PEM; the authorities of the system where absent. */
  readonly ca: string | undefined
  /** Name the certificate must be for, where that is not the host of the address. */
  readonly serverName: string | undefined
  readonly timeoutMs: number
}

/** What a server showed of itself. */
export type Inspection =
  | { readonly kind: 'unreachable'; readonly cause: string }
  | { readonly kind: 'no-tls'; readonly cause: string }
  | {
      readonly kind: 'presented'
      /** Its own certificate first, then what it sent along. */
      readonly chain: readonly X509Certificate[]
      /** Undefined: verified. Else OpenSSL's or Node's code: `CERT_HAS_EXPIRED`, `ERR_TLS_CERT_ALTNAME_INVALID`. */
      readonly fault: string | undefined
    }

/** Connects and looks. Nothing is sent, and nothing is believed yet. */
export function inspectServer(server: ServerToAsk): Promise<Inspection> {
  const { address, timeoutMs } = server
  return new Promise((resolve) => {
    const socket = connect({
      ...tlsOf(server),
      host: address.host,
      port: address.port,
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: false,
    })
    let connected = false
    const end = (inspection: Inspection): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(inspection)
    }
    const timer = setTimeout(
      () => end({ kind: 'unreachable', cause: `no answer within ${timeoutMs / 1000} s` }),
      timeoutMs,
    )
    socket.once('connect', () => {
      connected = true
    })
    socket.once('error', (thrown) => {
      end({ kind: connected ? 'no-tls' : 'unreachable', cause: causeOf(thrown) })
    })
    socket.once('close', () => end({ kind: connected ? 'no-tls' : 'unreachable', cause: 'the connection was closed' }))
    socket.once('secureConnect', () => {
      const own = socket.getPeerX509Certificate()
      // Its type says Error; what stands there is the code.
      const fault: unknown = socket.authorizationError
      end({
        kind: 'presented',
        chain: own === undefined ? [] : chainOf(own),
        fault: socket.authorized ? undefined : codeOf(fault),
      })
    })
  })
}

function codeOf(fault: unknown): string {
  if (typeof fault === 'string') return fault
  return fault instanceof Error && 'code' in fault ? String(fault.code) : messageOf(fault)
}

function chainOf(own: X509Certificate): readonly X509Certificate[] {
  const chain = [own]
  for (let next = own.issuerCertificate; next !== undefined && chain.length < 10; next = next.issuerCertificate) {
    if (chain.some((known) => known.fingerprint256 === next?.fingerprint256)) break
    chain.push(next)
  }
  return chain
}

/** What goes to the server, and who we are to it. */
export interface Question extends ServerToAsk {
  readonly method: 'GET' | 'POST'
  /** Below the address: `/version`. */
  readonly path: string
  readonly body?: object
  readonly token?: Secret | undefined
  /** PEM. */
  readonly certificate?: string | undefined
  readonly key?: Secret | undefined
  /**
   * Takes any certificate. Only for what is checked afterwards by other means, and never together with a credential:
   * throws.
   */
  readonly unverified?: boolean
}

export interface ServerAnswer {
  readonly status: number
  readonly text: string
}

const MAX_ANSWER = 1024 * 1024

/** Asks once. Rejects, with a sentence, where no answer came. */
export function askServer(question: Question): Promise<ServerAnswer> {
  const { address, method, path, body, token, certificate, key, unverified = false, timeoutMs } = question
  if (unverified && (token !== undefined || key !== undefined)) {
    throw new TypeError('credentials do not go to a server that was not verified')
  }
  const content = body === undefined ? undefined : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const call = request(
      `${address.url}${path}`,
      {
        ...tlsOf(question),
        agent: false,
        method,
        rejectUnauthorized: !unverified,
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          accept: 'application/json',
          'user-agent': 'archway',
          ...(content === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
        },
        ...(certificate === undefined || key === undefined ? {} : { cert: certificate, key: key.reveal() }),
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
          if (text.length > MAX_ANSWER) response.destroy(new Error('the answer is longer than 1 MiB'))
        })
        response.once('error', (thrown) => reject(new Error(causeOf(thrown))))
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text }))
      },
    )
    call.once('error', (thrown) => {
      const late = thrown.name === 'AbortError' || thrown.name === 'TimeoutError'
      reject(new Error(late ? `no answer within ${timeoutMs / 1000} s` : causeOf(thrown)))
    })
    call.end(content)
  })
}

function tlsOf({ address, ca, serverName }: ServerToAsk): ConnectionOptions {
  const name = serverName ?? address.host
  return {
    // Where nothing else is said, kubectl trusts the system and not the roots that come with Node.
    ca: ca ?? getCACertificates('system'),
    allowPartialTrustChain: true,
    minVersion: 'TLSv1.2',
    ...(isIP(name) === 0 ? { servername: name } : {}),
  }
}

function causeOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.message === '') return thrown.errors.map(messageOf).join('; ')
  return messageOf(thrown)
}
