/**
 * Opens tracing. OpenTelemetry is loaded here and nowhere else, when there is somewhere for spans to go.
 *
 * @module
 */
import type { Tracing } from './spans.ts'
import type { TracingOptions } from './tracing-options.ts'

/** @throws ArchwayError `config_invalid`: the endpoint is no http or https URL. */
export async function openTracing(options: TracingOptions): Promise<Tracing> {
  const { otlpTracing } = await import('./otlp-tracing.ts')
  return otlpTracing(options)
}
