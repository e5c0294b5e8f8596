/**
 * What a TLS server shows, whatever it is worth: nothing is verified and nothing is sent.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect } from 'node:tls'
import { ArchwayError, messageOf } from '../../errors.ts'

export interface DialOptions {
  readonly host: string
  readonly port: number
  readonly timeoutMs: number
}

/** A server chooses how many it sends. */
const MOST_CERTIFICATES = 16

/** The certificates a server shows, its own first, DER. Throws `file_invalid` where there is none to see. */
export function dial({ host, port, timeoutMs }: DialOptions): Promise<readonly Buffer[]> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      socket.destroy()
      reject(new ArchwayError('file_invalid', `${host}:${port}: shows no certificate (${why})`))
    }
    const socket = connect({
      host,
      port,
      rejectUnauthorized: false, // it is looked at, not believed
      ...(isIP(host) === 0 ? { servername: host } : {}),
    })
    socket.setTimeout(timeoutMs, () => fail(`no answer within ${timeoutMs / 1000} s`))
    socket.once('error', (error) => fail(messageOf(error)))
    socket.once('secureConnect', () => {
      const chain = chainOf(socket.getPeerX509Certificate())
      if (chain.length === 0) return fail('the handshake came without one')
      socket.destroy()
      resolve(chain)
    })
  })
}

function chainOf(leaf: X509Certificate | undefined): readonly Buffer[] {
  const chain: Buffer[] = []
  for (let one = leaf; one !== undefined && chain.length < MOST_CERTIFICATES; one = one.issuerCertificate) {
    if (chain.some((other) => other.equals(one?.raw ?? Buffer.alloc(0)))) break
    chain.push(one.raw)
  }
  return chain
}
