import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { ArchwayError } from '../../src/errors.ts'
import type { Tracing } from '../../src/telemetry/spans.ts'
import { openTracing } from '../../src/telemetry/tracing.ts'
import type { TracingOptions } from '../../src/telemetry/tracing-options.ts'
import { type CollectedSpan, type Collector, collector } from './collector.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const SAMPLED = `00-${TRACE}-${SPAN}-01`
const NOT_SAMPLED = `00-${TRACE}-${SPAN}-00`

interface Warning {
  readonly fields: object
  readonly message: string
}

interface Traced extends Tracing {
  readonly warnings: Warning[]
}

async function tracing(endpoint: string, options: Partial<TracingOptions> = {}): Promise<Traced> {
  const warnings: Warning[] = []
  const log = { warn: (fields: object, message: string) => void warnings.push({ fields, message }) }
  return { warnings, ...(await openTracing({ endpoint, sampling: 1, log, version: '1.2.3', ...options })) }
}

describe('a trace', () => {
  let target: Collector
  before(async () => {
    target = await collector()
  })
  after(() => target.close())

  /** The span that comes of a request with these lines, and the lines that went on. */
  async function traced(
    lines: readonly (readonly [string, string])[],
    options: Partial<TracingOptions> = {},
  ): Promise<{ readonly span: CollectedSpan | undefined; readonly sent: ReadonlyMap<string, string> }> {
    const of = await tracing(target.url, options)
    const before = target.spans().length
    const span = of.begin('GET', lines)
    span.end({ name: 'GET pods', attributes: { 'http.request.method': 'GET', absent: undefined, n: 5 } })
    await of.close()
    assert.deepEqual(of.warnings, [])
    return { span: target.spans()[before], sent: new Map(span.headers) }
  }

  test('begins here where the client has none, and goes on with the span that was sent', async () => {
    const { span, sent } = await traced([['Host', 'x']])
    assert.equal(span?.parentSpanId, undefined)
    assert.equal(sent.get('traceparent'), `00-${span?.traceId}-${span?.spanId}-01`)
    assert.deepEqual([...sent.keys()], ['traceparent'])
    assert.deepEqual([span?.name, span?.kind, span?.status.code], ['GET pods', 2, 0])
    assert.deepEqual(span?.attributes, { 'http.request.method': 'GET', n: 5 })
  })

  test('is the one of the client, with its tracestate, in any spelling of the names', async () => {
    const { span, sent } = await traced([
      ['TraceParent', SAMPLED],
      ['TRACESTATE', 'a=1'],
      ['tracestate', 'b=2'],
    ])
    assert.deepEqual([span?.traceId, span?.parentSpanId, span?.traceState], [TRACE, SPAN, 'a=1,b=2'])
    assert.equal(sent.get('traceparent'), `00-${TRACE}-${span?.spanId}-01`)
    assert.equal(sent.get('tracestate'), 'a=1,b=2')
  })

  const bad: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
    [
      'twice',
      [
        ['traceparent', SAMPLED],
        ['traceparent', SAMPLED],
      ],
    ],
    ['twice in a list', [['traceparent', `${SAMPLED},${SAMPLED}`]]],
    ['empty', [['traceparent', '']]],
    ['of zeros', [['traceparent', `00-${'0'.repeat(32)}-${SPAN}-01`]]],
    ['in capitals', [['traceparent', SAMPLED.toUpperCase()]]],
    ['of the version that is none', [['traceparent', SAMPLED.replace('00-', 'ff-')]]],
    ['too long', [['traceparent', `${SAMPLED}-00`]]],
    ['very long', [['traceparent', 'a'.repeat(60_000)]]],
  ]
  for (const [what, lines] of bad) {
    test(`begins here where the client's is there ${what}, and its tracestate goes no further`, async () => {
      const { span, sent } = await traced([...lines, ['tracestate', 'a=1']])
      assert.notEqual(span?.traceId, TRACE)
      assert.equal(span?.parentSpanId, undefined)
      assert.deepEqual([...sent.keys()], ['traceparent'])
    })
  }

  test('is recorded or not as the client decided, whatever the share', async () => {
    const recorded = await traced([['traceparent', SAMPLED]], { sampling: 0 })
    assert.equal(recorded.span?.parentSpanId, SPAN)
    const { span, sent } = await traced([['traceparent', NOT_SAMPLED]], { sampling: 1 })
    assert.equal(span, undefined)
    assert.match(sent.get('traceparent') ?? '', new RegExp(`^00-${TRACE}-(?!${SPAN})[0-9a-f]{16}-00$`))
  })

  test('that begins here is recorded by the share, and whoever comes next is told', async () => {
    const { span, sent } = await traced([], { sampling: 0 })
    assert.equal(span, undefined)
    assert.match(sent.get('traceparent') ?? '', /-00$/)
    const of = await tracing(target.url, { sampling: 0.25 })
    const spans = Array.from({ length: 4000 }, () => of.begin('GET', []))
    const share = spans.filter(({ recording }) => recording).length / spans.length
    assert.ok(share > 0.15 && share < 0.35, String(share))
    assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 4000)
    await of.close()
  })

  test('of two processes in one program is sent to the collector of each', async (t) => {
    const other = await collector()
    t.after(() => other.close())
    const [one, two] = [await tracing(target.url, { serviceName: 'one' }), await tracing(other.url)]
    const before = target.batches.length
    one.begin('GET', []).end()
    two.begin('GET', []).end()
    await Promise.all([one.close(), two.close()])
    assert.deepEqual([target.batches.length - before, other.batches.length], [1, 1])
    assert.equal(target.batches.at(-1)?.resource['service.name'], 'one')
    assert.equal(other.batches[0]?.resource['service.name'], 'archway')
  })

  test('is sent as OTLP over HTTP, behind any path, with who sends it', async () => {
    const of = await tracing(`${target.url}/otlp/`)
    of.begin('GET', []).end()
    await of.close()
    const batch = target.batches.at(-1)
    assert.equal(batch?.path, '/otlp/v1/traces')
    assert.equal(batch?.headers['content-type'], 'application/json')
    assert.equal(batch?.resource['service.version'], '1.2.3')
  })

  test('cuts what a stranger made long', async () => {
    const of = await tracing(target.url)
    of.begin('GET', []).end({ name: 'GET', attributes: { 'url.path': 'a'.repeat(10_000) } })
    await of.close()
    assert.equal(String(target.spans().at(-1)?.attributes['url.path']).length, 1024)
  })

  test('says what failed', async () => {
    const of = await tracing(target.url)
    of.begin('GET', []).end({ name: 'GET', attributes: {}, error: 'unreachable' })
    await of.close()
    const span = target.spans().at(-1)
    assert.deepEqual([span?.status.code, span?.attributes['error.type']], [2, 'unreachable'])
  })
})

describe('a collector that does not take traces', () => {
  test('costs spans, and is told in the log with their number', async (t) => {
    const target = await collector((response) => response.writeHead(400).end())
    t.after(() => target.close())
    const of = await tracing(target.url)
    for (let i = 0; i < 3; i++) of.begin('GET', []).end()
    await of.close()
    assert.equal(of.warnings.length, 1)
    assert.equal(of.warnings[0]?.message, 'traces were lost: the collector did not take them')
    assert.deepEqual(of.warnings[0]?.fields, { lost: 3, cause: 'Bad Request' })
  })

  test('by being away throws nowhere', async () => {
    const target = await collector()
    await target.close()
    const of = await tracing(target.url, { limits: { exportTimeoutMs: 50 } })
    of.begin('GET', []).end()
    await of.close()
    assert.equal(of.warnings.length, 1)
  })

  test('by saying nothing keeps nobody from closing', async (t) => {
    const target = await collector(() => undefined)
    t.after(() => target.close())
    const of = await tracing(target.url, { limits: { closeMs: 20, exportTimeoutMs: 200 } })
    of.begin('GET', []).end()
    await of.close()
    await of.close()
  })

  test('fills the queue and no more: what is beyond it is lost', async (t) => {
    const taken = Promise.withResolvers<void>()
    const held: (() => void)[] = []
    const target = await collector((response) => {
      held.push(() => response.end('{}'))
      taken.resolve()
    })
    t.after(() => target.close())
    const of = await tracing(target.url, { limits: { queue: 10, delayMs: 1 } })
    of.begin('first', []).end()
    await taken.promise
    for (let i = 0; i < 1000; i++) of.begin('GET', []).end()
    const closed = of.close()
    while (held.length < 2) await new Promise((resolve) => setImmediate(resolve))
    for (const answer of held) answer()
    await closed
    assert.equal(target.spans().length, 11)
  })
})

describe('tracing', () => {
  test('loads OpenTelemetry when it is opened, and nothing of it before', () => {
    const at = (file: string) => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href)
    const program = `
      import { registerHooks } from 'node:module'
      let loaded = 0
      registerHooks({
        resolve(name, context, next) {
          if (name.startsWith('@opentelemetry/')) loaded++
          return next(name, context)
        },
      })
      await import(${at('proxy/observe/proxy-observer.ts')})
      const { openTracing } = await import(${at('telemetry/tracing.ts')})
      const before = loaded
      const tracing = await openTracing({ endpoint: 'http://127.0.0.1:9', sampling: 0, log: {}, version: '1' })
      console.log(before, loaded > 0)
      await tracing.close()`
    const args = ['--input-type=module', '-e', program]
    assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8' }), '0 true\n')
  })

  for (const endpoint of ['', 'collector:4318', 'ftp://collector', 'http://']) {
    test(`refuses an endpoint that is none: ${JSON.stringify(endpoint)}`, async () => {
      await assert.rejects(
        tracing(endpoint),
        (error) => error instanceof ArchwayError && error.code === 'config_invalid',
      )
    })
  }

  test('T-H10 follows no redirect of a collector', async (t) => {
    const elsewhere = createServer()
    let asked = 0
    elsewhere.on('connection', (socket) => {
      asked++
      socket.destroy()
    })
    elsewhere.listen(0, '127.0.0.1')
    await once(elsewhere, 'listening')
    const address = elsewhere.address()
    const port = typeof address === 'object' ? address?.port : 0
    const target = await collector((response) =>
      response.writeHead(307, { Location: `http://127.0.0.1:${port}/` }).end(),
    )
    t.after(() => Promise.all([target.close(), elsewhere.close()]))
    const of = await tracing(target.url)
    of.begin('GET', []).end()
    await of.close()
    assert.deepEqual([asked, of.warnings.length], [0, 1])
  })
})
