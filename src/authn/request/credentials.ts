/**
 * What a request shows of who sends it, before anything of it is believed. Owns how credentials are read off a request;
 * leaves their judgement to the authenticators.
 *
 * @module
 */
import { bearerToken } from '../bearer.ts'
import { basicCredential } from './basic.ts'

/** A certificate whose key the client has proved to hold (TLS did), and about which nothing else was checked. */
export interface ClientCertificate {
  /** DER. */
  readonly leaf: Uint8Array
  /** What else the client sent, in any order; DER. */
  readonly intermediates: readonly Uint8Array[]
}

/** One request. */
export interface RequestCredentials {
  readonly certificate?: ClientCertificate
  /** Name and value in the order of the wire, as `rawHeaders` of `node:http` has them: one character a byte. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Address of the client. */
  readonly address?: string
}

/** What an Authorization header, or what stands in for it, holds. */
export type HeaderCredential =
  | { readonly kind: 'none' }
  /** Two headers, or a header and a subprotocol: which of them counts is for nobody to guess. */
  | { readonly kind: 'ambiguous' }
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }

const SUBPROTOCOL = 'base64url.bearer.authorization.k8s.io.'

/**
 * The credential of the headers: `Authorization`, or the token that browsers send as a WebSocket subprotocol next to
 * another one. kube-apiserver takes the first of several Authorization headers; here they are ambiguous.
 */
export function headerCredential(headers: RequestCredentials['headers']): HeaderCredential {
  const authorizations = valuesOf(headers, 'authorization')
  const tokens = subprotocolTokens(headers)
  if (authorizations.length + tokens.length > 1) return { kind: 'ambiguous' }
  const [authorization] = authorizations
  if (authorization === undefined) {
    const [token] = tokens
    return token === undefined ? { kind: 'none' } : { kind: 'bearer', token }
  }
  const token = bearerToken(authorization)
  if (token !== undefined) return { kind: 'bearer', token }
  const basic = basicCredential(authorization)
  return basic === undefined ? { kind: 'none' } : { kind: 'basic', ...basic }
}

/** Values of all lines of a header, whatever the case of its name. */
export function valuesOf(headers: RequestCredentials['headers'], name: string): string[] {
  return headers.filter(([given]) => given.toLowerCase() === name).map(([, value]) => value)
}

/** Tokens among the subprotocols offered. Alone it is none: the server would have no protocol to choose. */
function subprotocolTokens(headers: RequestCredentials['headers']): string[] {
  const offered = valuesOf(headers, 'sec-websocket-protocol')
    .flatMap((value) => value.split(','))
    .map((protocol) => protocol.trim())
  if (offered.every((protocol) => protocol.startsWith(SUBPROTOCOL))) return []
  return offered
    .filter((protocol) => protocol.startsWith(SUBPROTOCOL))
    .flatMap((protocol) => tokenOf(protocol.slice(SUBPROTOCOL.length)) ?? [])
}

function tokenOf(encoded: string): string | undefined {
  if (encoded === '' || !/^[\w-]+$/.test(encoded)) return undefined
  const bytes = Buffer.from(encoded, 'base64url')
  if (bytes.toString('base64url') !== encoded) return undefined // stray bits, a length that cannot be
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}
