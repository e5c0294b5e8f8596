/**
 * A stand-in for an API server, for `archway demo`: behind the proxy it answers every request with the identity that it
 * was handed, as the SelfSubjectReview a real one would make. It judges nothing and stores nothing.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { headerReader } from '../authn/request/request-header.ts'
import { statusAnswer } from '../kube/status.ts'
import type { UserInfo } from '../user.ts'

export interface StandInOptions {
  /** Its own certificate and key, PEM. */
  readonly certificate: string
  readonly key: string
  /** CA of those whose identity headers it reads, PEM: what a real one has as `--requestheader-client-ca-file`. */
  readonly frontProxyCa: string
}

export interface StandIn {
  /** `https://127.0.0.1:PORT` */
  readonly url: string
  close(): void
}

/** Starts it on a free port of loopback. */
export async function startStandIn({ certificate, key, frontProxyCa }: StandInOptions): Promise<StandIn> {
  const server = createServer(
    { cert: certificate, key, ca: frontProxyCa, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2' },
    (request, response) => {
      request.resume()
      answer(request, response)
    },
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen({ host: '127.0.0.1', port: 0 }, resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `https://127.0.0.1:${port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

const read = headerReader({
  username: ['X-Remote-User'],
  uid: ['X-Remote-Uid'],
  group: ['X-Remote-Group'],
  extraPrefix: ['X-Remote-Extra-'],
})

/** Headers count only beside a certificate of the front proxy's CA; everybody else is nobody. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const isFrontProxy = (request.socket as TLSSocket).authorized
  const user = isFrontProxy ? read(linesOf(request.rawHeaders)) : undefined
  const body = user === undefined ? undefined : `${JSON.stringify(selfSubjectReview(user), undefined, 2)}\n`
  const refusal = statusAnswer(401, 'Unauthorized')
  response.writeHead(body === undefined ? refusal.status : 200, { 'Content-Type': 'application/json' })
  response.end(body ?? refusal.body)
}

function linesOf(raw: readonly string[]): (readonly [string, string])[] {
  return Array.from({ length: raw.length / 2 }, (_, at) => [raw[2 * at] ?? '', raw[2 * at + 1] ?? ''])
}

/** SelfSubjectReview of `authentication.k8s.io/v1`: what `kubectl auth whoami` asks for. */
function selfSubjectReview({ username, uid, groups, extra }: UserInfo): object {
  return {
    kind: 'SelfSubjectReview',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: {},
    status: {
      userInfo: {
        username,
        ...(uid === '' ? {} : { uid }),
        groups,
        ...(extra.size === 0 ? {} : { extra: Object.assign(Object.create(null), Object.fromEntries(extra)) }),
      },
    },
  }
}
