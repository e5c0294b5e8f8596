/**
 * A collector of traces: takes OTLP over HTTP as JSON and remembers the spans. What it is told to do else, it does to
 * the next batch.
 *
 * @module
 */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CollectedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly traceState?: string
  readonly name: string
  readonly kind: number
  readonly status: { readonly code?: number }
  readonly attributes: Readonly<Record<string, unknown>>
}

interface Batch {
  readonly path: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly resource: Readonly<Record<string, unknown>>
  readonly spans: readonly CollectedSpan[]
}

export interface Collector {
  readonly url: string
  readonly batches: readonly Batch[]
  spans(): readonly CollectedSpan[]
  close(): Promise<void>
}

/** `answer` is in place of a 200 with an empty object. */
export async function collector(answer?: (response: ServerResponse) => void): Promise<Collector> {
  const batches: Batch[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    batches.push({ path: request.url, headers: request.headers, ...read(JSON.parse(Buffer.concat(chunks).toString())) })
    if (answer === undefined) response.setHeader('Content-Type', 'application/json').end('{}')
    else answer(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    batches,
    spans: () => batches.flatMap(({ spans }) => spans),
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

interface Otlp {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<CollectedSpan, 'attributes'> & { readonly attributes: readonly Attribute[] })[]
    }[]
  }[]
}

function read({ resourceSpans }: Otlp): Pick<Batch, 'resource' | 'spans'> {
  return {
    resource: Object.assign({}, ...resourceSpans.map(({ resource }) => plain(resource.attributes))),
    spans: resourceSpans
      .flatMap(({ scopeSpans }) => scopeSpans)
      .flatMap(({ spans }) => spans)
      .map((span) => ({ ...span, attributes: plain(span.attributes) })),
  }
}

/** `{ key, value: { intValue: 5 } }` and its like as an object. */
function plain(attributes: readonly Attribute[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}
