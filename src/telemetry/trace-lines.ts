/**
 * The lines of W3C Trace Context (https://www.w3.org/TR/trace-context/): which trace a request belongs to, and what is
 * said to whoever is asked next.
 *
 * @module
 */
import { type Context, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import type { TraceLines } from './spans.ts'

const PARENT = 'traceparent'
const STATE = 'tracestate'

const propagator = new W3CTraceContextPropagator()

/** The caller's span. Nobody's where `traceparent` is absent, no good, or there more than once: then whose is it? */
export function callerOf(lines: TraceLines): Context {
  const parents = valuesOf(lines, PARENT)
  if (parents.length !== 1) return ROOT_CONTEXT
  return propagator.extract(ROOT_CONTEXT, lines, {
    // Several lines of `tracestate` are one list (section 3.3.1.5).
    get: (from, name) => valuesOf(from, name).join(','),
    keys: () => [PARENT, STATE],
  })
}

export function linesOf(span: Span): TraceLines {
  const lines: [name: string, value: string][] = []
  propagator.inject(trace.setSpan(ROOT_CONTEXT, span), lines, {
    set: (into, name, value) => void into.push([name, value]),
  })
  return lines
}

function valuesOf(lines: TraceLines, wanted: string): string[] {
  const values: string[] = []
  for (const [name, value] of lines) {
    if (name.length === wanted.length && name.toLowerCase() === wanted) values.push(value)
  }
  return values
}
