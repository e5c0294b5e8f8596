/**
 * A scripted API server on loopback: real HTTPS, and whatever answer a test wants. Time and chance that wait for
 * nobody.
 *
 * @module
 */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { CallLog } from '../../../src/context.ts'
import { type AccessSource, accessSource, type ClusterAccess } from '../../../src/kube/api-client/access.ts'
import type { Timing } from '../../../src/kube/api-client/backoff.ts'
import { servingCertificate } from '../../../src/pki/self-signed.ts'
import { Secret } from '../../../src/secret.ts'

export interface Seen {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export type Script = (seen: Seen, response: ServerResponse) => void

export interface ScriptedServer {
  readonly url: string
  readonly ca: string
  readonly seen: Seen[]
  /** What answers from now on. */
  script: Script
  /** Ends every connection there is. */
  cut(): void
  close(): Promise<void>
}

export async function startServer(): Promise<ScriptedServer> {
  const { ca, certificate, key } = await servingCertificate({ names: ['api.test'], addresses: ['127.0.0.1'], days: 1 })
  const seen: Seen[] = []
  const server: Server = createServer({ cert: certificate, key }, async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { pathname, searchParams } = new URL(request.url ?? '', 'https://api.test')
    const { method = '', headers } = request
    const one = { method, path: pathname, query: searchParams, headers, body: Buffer.concat(chunks).toString() }
    seen.push(one)
    scripted.script(one, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const scripted: ScriptedServer = {
    url: `https://127.0.0.1:${port}`,
    ca,
    seen,
    script: (_, response) => response.writeHead(500).end(),
    cut: () => server.closeAllConnections(),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return scripted
}

export function json(
  response: ServerResponse,
  body: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

export function status(
  response: ServerResponse,
  code: number,
  reason = '',
  headers: Record<string, string> = {},
): void {
  json(
    response,
    { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: `told ${reason}`, reason, code },
    code,
    headers,
  )
}

export function accessTo(server: ScriptedServer, log: CallLog, over: Partial<ClusterAccess> = {}): AccessSource {
  const tls = { ca: server.ca, cert: undefined, key: undefined, serverName: undefined }
  const access = { server: server.url, tls, token: new Secret('t0ken'), namespace: 'default', ...over }
  return accessSource({ load: async () => access, log })
}

export interface TestTiming extends Timing {
  /** How long was to be slept, each time. */
  readonly slept: number[]
  /** Moves the clock. */
  pass(ms: number): void
}

export function testTiming(): TestTiming {
  let now = 0
  const slept: number[] = []
  return {
    slept,
    async sleep(ms) {
      slept.push(ms)
      now += ms
      await setImmediate()
    },
    random: () => 1,
    now: () => now,
    pass(ms) {
      now += ms
    },
  }
}

/** An object as the API has it. */
export function object(name: string, resourceVersion: number, more: object = {}, namespace = 'app'): object {
  return { metadata: { namespace, name, uid: `uid-${name}`, resourceVersion: String(resourceVersion) }, ...more }
}

export function listOf(resourceVersion: number, ...items: readonly object[]): object {
  return { kind: 'List', metadata: { resourceVersion: String(resourceVersion) }, items }
}

export function line(type: string, of: object): string {
  return `${JSON.stringify({ type, object: of })}\n`
}
