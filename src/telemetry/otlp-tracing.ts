/**
 * Tracing by OpenTelemetry: spans are gathered, and sent to a collector in batches. Owns how its parts are put together;
 * nothing is registered globally, so that two of them share nothing. A collector that is slow or away costs spans.
 *
 * @module
 */
import { type Span, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { ArchwayError } from '../errors.ts'
import { reportingExporter } from './reporting-exporter.ts'
import type { ServerSpan, SpanEnd, TraceLines, Tracing } from './spans.ts'
import { callerOf, linesOf } from './trace-lines.ts'
import { DEFAULT_TRACING, type TracingOptions } from './tracing-options.ts'

/** Characters; a name of a stranger's making is not to fill a span. */
const LONGEST_ATTRIBUTE = 1024

/** @throws ArchwayError `config_invalid`: the endpoint is no http or https URL. */
export function otlpTracing(options: TracingOptions): Tracing {
  const limits = { ...DEFAULT_TRACING, ...options.limits }
  const { log, clock = () => performance.now() } = options
  const exporter = new OTLPTraceExporter({ url: tracesUrl(options.endpoint), timeoutMillis: limits.exportTimeoutMs })
  const provider = new TracerProvider({
    resource: resourceOf(options),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.sampling) }),
    spanLimits: { attributeValueLengthLimit: LONGEST_ATTRIBUTE },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: reportingExporter(exporter, { log, clock }),
        maxQueueSize: limits.queue,
        scheduledDelayMillis: limits.delayMs,
        exportTimeoutMillis: limits.exportTimeoutMs,
      }),
    ],
  })
  const tracer = provider.getTracer('archway', options.version)
  let closed: Promise<void> | undefined
  return {
    begin: (name, lines) => begin(tracer, name, lines),
    close() {
      closed ??= withinLimit(provider.shutdown(), limits.closeMs)
      return closed
    },
  }
}

function tracesUrl(endpoint: string): string {
  const url = URL.parse(endpoint)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ArchwayError('config_invalid', 'tracing.endpoint: expected an http or https URL')
  }
  url.pathname = url.pathname.replace(/\/*$/, '/v1/traces')
  return url.href
}

/** Who sends the spans; what the environment says of it goes before what we say. */
function resourceOf({ serviceName = 'archway', version }: TracingOptions): Resource {
  return defaultResource()
    .merge(resourceFromAttributes({ 'service.name': serviceName, 'service.version': version }))
    .merge(detectResources({ detectors: [envDetector] }))
}

function begin(tracer: Tracer, name: string, lines: TraceLines): ServerSpan {
  const span = tracer.startSpan(name, { kind: SpanKind.SERVER }, callerOf(lines))
  return {
    traceId: span.spanContext().traceId,
    recording: span.isRecording(),
    headers: linesOf(span),
    end(how) {
      if (how !== undefined) describe(span, how)
      span.end()
    },
  }
}

function describe(span: Span, { name, attributes, error }: SpanEnd): void {
  span.updateName(name)
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) span.setAttribute(key, value)
  if (error === undefined) return
  span.setStatus({ code: SpanStatusCode.ERROR })
  span.setAttribute('error.type', error)
}

function withinLimit(work: Promise<void>, ms: number): Promise<void> {
  const limit = Promise.withResolvers<void>()
  const timer = setTimeout(limit.resolve, ms)
  return Promise.race([work.catch(() => undefined), limit.promise]).finally(() => clearTimeout(timer))
}
