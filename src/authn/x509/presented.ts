/**
 * The certificate a TLS client has shown, as a door hands it on. TLS has proved that the client holds its key, and is
 * to do no more: what a context verifies by itself decides what Node shows of the rest.
 *
 * @module
 */
import { constants, type X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { ClientCertificate } from '../request/credentials.ts'

/**
 * What a listener must be made with for {@link presentedCertificate} to see everything. Not with `ca` beside it: of a
 * chain that OpenSSL finds good, Node shows the first certificate alone.
 */
export const certificateRequest = Object.freeze({ requestCert: true, rejectUnauthorized: false })

/** For `secureOptions`: a resumed session has the client's own certificate, and no longer its intermediates. */
export const certificateRequestOptions: number = constants.SSL_OP_NO_TICKET

/** What the client has shown, in its order; `undefined` when it has shown nothing. Cheap when asked again. */
export function presentedCertificate(socket: TLSSocket): ClientCertificate | undefined {
  const known = presented.get(socket)
  if (known !== undefined) return known
  const [leaf, ...intermediates] = chainOf(socket.getPeerX509Certificate())
  if (leaf === undefined) return undefined
  const certificate = Object.freeze({ leaf, intermediates })
  presented.set(socket, certificate)
  return certificate
}

/** Does not change while the connection lasts: there is no renegotiation, nor asking after the handshake. */
const presented = new WeakMap<TLSSocket, ClientCertificate>()

/** `issuerCertificate` is the next of the chain as it was sent, whoever has issued it. */
function chainOf(first: X509Certificate | undefined): Uint8Array[] {
  const chain: Uint8Array[] = []
  for (let next = first; next !== undefined; next = next.issuerCertificate) chain.push(next.raw)
  return chain
}
