/**
 * What happens to API servers that somebody may want to count: closed sets, for the labels of metrics.
 *
 * @module
 */

export const UPSTREAM_EVENTS = [
  'addresses_gone', // the name lost an address that connections were open to
  'check_failed',
  'connect_failed', // for a request; another server was asked, if there was one
  'ejected',
  'readmitted',
  'retried', // asked again on a new connection, the kept one having died
] as const
export type UpstreamEvent = (typeof UPSTREAM_EVENTS)[number]

/** `server` is a configured name, `host:port`. */
export type ObserveUpstream = (server: string, event: UpstreamEvent) => void
