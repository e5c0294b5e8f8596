/**
 * Traces: where spans go, and how many.
 *
 * @module
 */
import { z } from 'zod'
import { option } from './option.ts'

/** `tracing:` of the configuration. */
export const tracingSection = z.strictObject({
  endpoint: option(
    z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }).optional(),
    'Base URL of an OpenTelemetry collector (OTLP over HTTP, `/v1/traces` is added). Without it nothing is traced, and trace headers pass untouched.',
    { flag: 'tracing-endpoint', env: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: 'URL' },
  ),
  sampling: option(
    z.number().min(0).max(1).default(0.05),
    'Share of requests traced that come without a decision of the client: from 0 to 1.',
  ),
  userNames: option(z.boolean().default(false), 'Whether spans carry the name of the user.'),
})
