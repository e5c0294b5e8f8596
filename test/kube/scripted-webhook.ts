/**
 * A webhook on loopback that answers what a test tells it to.
 *
 * @module
 */
import { once } from 'node:events'
import { createSecureServer, type Http2ServerResponse } from 'node:http2'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { servingCertificate } from '../../src/pki/self-signed.ts'

export interface ScriptedAnswer {
  readonly status: number
  /** An empty value: the header is absent. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer
}

export interface SeenRequest {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly httpVersion: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface ScriptedWebhook extends AsyncDisposable {
  readonly url: string
  /** CA of its certificate. */
  readonly ca: Buffer
  readonly seen: SeenRequest[]
  /** What the next requests get; `undefined`: no answer at all, the connection is cut. */
  answer: ScriptedAnswer | undefined
}

export async function scriptedWebhook({ http2 = false } = {}): Promise<ScriptedWebhook> {
  const { ca, certificate, key } = await servingCertificate({
    names: ['webhook.example'],
    addresses: ['127.0.0.1'],
    days: 1,
  })
  const pem = { cert: certificate, key }
  const server = http2 ? createSecureServer(pem) : createServer(pem)
  // The two kinds of server call back with requests and responses that are alike in all that is used here.
  const sockets = new Set<{ destroy(): void }>()
  server.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  const webhook = {
    url: '',
    ca: Buffer.from(ca),
    seen: [] as SeenRequest[],
    answer: undefined as ScriptedAnswer | undefined,
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
  ;(server as Server).on('request', async (request, response) => {
    const { method, url, httpVersion, headers } = request
    webhook.seen.push({ method, url, httpVersion, headers, body: await text(request) })
    const { answer } = webhook
    if (answer === undefined) {
      request.socket.destroy()
      return
    }
    const given = Object.fromEntries(Object.entries(answer.headers).filter(([, value]) => value !== ''))
    ;(response as unknown as Http2ServerResponse).writeHead(answer.status, given)
    response.end(answer.body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  webhook.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/k8s/authenticate`
  return webhook
}
