/**
 * An exporter of spans whose failures are said in the log, once a minute at the most, and nowhere else: OpenTelemetry
 * would hand them to a handler that is the whole process's.
 *
 * @module
 */
import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import type { CallLog } from '../context.ts'
import { messageOf } from '../errors.ts'

const PAUSE_MS = 60_000

interface Report {
  readonly log: Pick<CallLog, 'warn'>
  /** Milliseconds on a monotonic clock. */
  readonly clock: () => number
}

export function reportingExporter(inner: SpanExporter, { log, clock }: Report): SpanExporter {
  let silentUntil = Number.NEGATIVE_INFINITY
  let lost = 0

  function report(spans: number, error: unknown): void {
    lost += spans
    if (clock() < silentUntil) return
    log.warn({ lost, cause: messageOf(error) }, 'traces were lost: the collector did not take them')
    silentUntil = clock() + PAUSE_MS
    lost = 0
  }

  return {
    export(spans: ReadableSpan[], told: (result: ExportResult) => void) {
      inner.export(spans, (result) => {
        if (result.code !== ExportResultCode.SUCCESS) report(spans.length, result.error ?? 'no cause was given')
        told({ code: ExportResultCode.SUCCESS })
      })
    },
    forceFlush: () => inner.forceFlush?.() ?? Promise.resolve(),
    shutdown: () => inner.shutdown(),
  }
}
