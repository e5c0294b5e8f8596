import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import { reportingExporter } from '../../src/telemetry/reporting-exporter.ts'

const SUCCESS = { code: ExportResultCode.SUCCESS }

interface Rig {
  readonly lines: object[]
  /** What OpenTelemetry is told of a batch of so many spans with this result. */
  send(spans: number, result: ExportResult): ExportResult | undefined
  pass(ms: number): void
}

function rig(): Rig {
  const lines: object[] = []
  let now = 1000
  let next: ExportResult = SUCCESS
  const inner: SpanExporter = { export: (_spans, told) => told(next), shutdown: async () => undefined }
  const log = { warn: (fields: object) => void lines.push(fields) }
  const exporter = reportingExporter(inner, { log, clock: () => now })
  return {
    lines,
    send(spans, result) {
      next = result
      let told: ExportResult | undefined
      exporter.export(Array<ReadableSpan>(spans), (one) => {
        told = one
      })
      return told
    },
    pass(ms) {
      now += ms
    },
  }
}

test('a failure is said once a minute, with the spans that were lost since', () => {
  const { send, pass, lines } = rig()
  const failed = { code: ExportResultCode.FAILED, error: new Error('refused') }
  send(2, failed)
  send(3, failed)
  pass(59_999)
  send(4, failed)
  assert.deepEqual(lines, [{ lost: 2, cause: 'refused' }])
  pass(1)
  send(5, failed)
  assert.deepEqual(lines.slice(1), [{ lost: 12, cause: 'refused' }])
})

test('a failure without a cause is one', () => {
  const { send, lines } = rig()
  send(1, { code: ExportResultCode.FAILED })
  assert.deepEqual(lines, [{ lost: 1, cause: 'no cause was given' }])
})

test('a success is not said, and nobody else hears of a failure', () => {
  const { send, lines } = rig()
  assert.deepEqual(send(1, SUCCESS), SUCCESS)
  assert.deepEqual(lines, [])
  assert.deepEqual(send(1, { code: ExportResultCode.FAILED }), SUCCESS)
})
