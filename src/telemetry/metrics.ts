/**
 * Metrics: one registry per process, handed in where something is counted. Owns names, labels and buckets; labels
 * take values from closed sets only, never anything a caller sent.
 *
 * @module
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Seconds; from a remembered answer to the longest a review may take. */
const SECONDS = [0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20]
/** Seconds; from a small object of a server nearby to the longest that kube-apiserver lets a request take. */
const PROXIED_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

export interface Metrics {
  readonly registry: Registry
  readonly reviews: Counter<'kind' | 'outcome'>
  readonly reviewSeconds: Histogram<'kind'>
  readonly authentications: Counter<'source' | 'outcome'>
  readonly cacheEvents: Counter<'source' | 'event'>
  readonly cacheEntries: Gauge<'source'>
  readonly gateEvents: Counter<'event'>
  readonly loginEvents: Counter<'event'>
  readonly keystoneCalls: Counter<'source' | 'call' | 'outcome'>
  readonly keystoneSeconds: Histogram<'source' | 'call'>
  readonly connections: Gauge
  readonly connectionsRefused: Counter<'reason'>
  readonly requestsRefused: Counter<'reason'>
  readonly tlsErrors: Counter
  readonly certificateNotAfter: Gauge
  readonly reloads: Counter<'file' | 'outcome'>
  readonly reloadOk: Gauge<'file'>
  readonly loadedAt: Gauge<'file'>
  readonly revocationSeconds: Gauge<'part'>
  readonly policyDigestHigh: Gauge
  readonly policyDigestLow: Gauge
  readonly policyRules: Gauge
  readonly shadow: Counter<'authorizer' | 'outcome'>
  readonly authorizationWebhook: Counter<'authorizer' | 'event'>
  readonly proxy: ProxyMetrics
}

/** Of the proxy door; `verb`, `resource` and `upstream` as `src/proxy/observe/labels.ts` bounds them. */
export interface ProxyMetrics {
  /** Called before what is counted of requests is read: for counts that were kept aside until then. */
  onRead(handIn: () => void): void
  readonly requests: Counter<'verb' | 'resource' | 'code' | 'upstream'>
  readonly outcomes: Counter<'outcome'>
  readonly seconds: Histogram<'verb'>
  readonly headSeconds: Histogram<'verb'>
  readonly bytes: Counter<'direction'>
  readonly refused: Counter<'threat'>
  readonly limited: Counter<'limit'>
  readonly spoofed: Counter
  readonly inFlight: Gauge<'duration'>
  readonly waiting: Gauge
  readonly users: Gauge
  readonly upstreamReady: Gauge<'upstream'>
  readonly upstreamConnections: Gauge<'upstream' | 'state'>
  readonly upstreamEvents: Counter<'upstream' | 'event'>
  readonly upstreamCertificateNotAfter: Gauge
}

export function createMetrics(version: string): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'archway_build_info',
    help: 'Constant 1; the labels tell what is running.',
    labelNames: ['version', 'runtime'],
    registers,
  })
    .labels(version, `node ${process.versions.node}`)
    .set(1)
  const counter = <Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    collect: () => void = () => {},
  ): Counter<Label> => new Counter({ name, help, labelNames: [...labelNames], registers, collect })
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]): Gauge<Label> =>
    new Gauge({ name, help, labelNames: [...labelNames], registers })
  const histogram = <Label extends string>(
    name: string,
    help: string,
    labels: readonly Label[],
    buckets: number[] = SECONDS,
  ): Histogram<Label> => new Histogram({ name, help, labelNames: [...labels], buckets, registers })

  const kept: (() => void)[] = []
  const collectKept = (): void => {
    for (const handIn of kept) handIn()
  }

  return {
    registry,
    reviews: counter('archway_reviews_total', 'Reviews answered, by kind and outcome.', ['kind', 'outcome']),
    reviewSeconds: histogram('archway_review_seconds', 'Time to answer a review.', ['kind']),
    authentications: counter(
      'archway_authentications_total',
      'Credentials judged, by the source that judged them; source "none" where nobody knew the credential.',
      ['source', 'outcome'],
      collectKept,
    ),
    cacheEvents: counter('archway_cache_events_total', 'Look-ups in the token cache.', ['source', 'event']),
    cacheEntries: gauge('archway_cache_entries', 'Tokens remembered.', ['source']),
    gateEvents: counter('archway_identity_gate_total', 'Names kept out by the identity gate, by reason.', ['event']),
    loginEvents: counter(
      'archway_login_protection_total',
      'What login protection did: failed, delayed, locked, unlocked, overloaded, fallback.',
      ['event'],
    ),
    keystoneCalls: counter('archway_keystone_calls_total', 'Requests to Keystone.', ['source', 'call', 'outcome']),
    keystoneSeconds: histogram('archway_keystone_call_seconds', 'Time of requests to Keystone.', ['source', 'call']),
    connections: gauge('archway_connections', 'Connections open on the public listener.', []),
    connectionsRefused: counter('archway_connections_refused_total', 'Connections refused, by reason.', ['reason']),
    requestsRefused: counter('archway_requests_refused_total', 'Requests the listener itself answered.', ['reason']),
    tlsErrors: counter('archway_tls_errors_total', 'TLS handshakes that failed.', []),
    certificateNotAfter: gauge(
      'archway_serving_certificate_not_after_seconds',
      'When the serving certificate expires, in seconds since the epoch.',
      [],
    ),
    reloads: counter('archway_reloads_total', 'Files taken up again after a change.', ['file', 'outcome']),
    reloadOk: gauge('archway_reload_ok', '1 when the file in force is the one on disk, 0 when an older one is.', [
      'file',
    ]),
    loadedAt: gauge('archway_loaded_timestamp_seconds', 'When the content in force was loaded.', ['file']),
    revocationSeconds: gauge(
      'archway_revocation_seconds',
      'Longest time a revoked token goes on working, by part; the sum is what the documentation states.',
      ['part'],
    ),
    policyDigestHigh: gauge(
      'archway_policy_digest_high',
      'First 48 bits of the digest of the Keystone policies in force: with `low`, equal on replicas that decide alike.',
      [],
    ),
    policyDigestLow: gauge('archway_policy_digest_low', 'Next 48 bits of the same digest.', []),
    policyRules: gauge('archway_policy_rules', 'Keystone policies in force.', []),
    shadow: counter(
      'archway_shadow_decisions_total',
      'What a candidate policy would have decided, beside the one in force.',
      ['authorizer', 'outcome'],
    ),
    authorizationWebhook: counter('archway_authorization_webhook_total', 'Asking another authorization webhook.', [
      'authorizer',
      'event',
    ]),
    proxy: {
      onRead: (handIn) => void kept.push(handIn),
      requests: counter(
        'archway_proxy_requests_total',
        'Requests that are over; resource by name where the API server has it, code 0 where no answer was begun.',
        ['verb', 'resource', 'code', 'upstream'],
        collectKept,
      ),
      outcomes: counter('archway_proxy_outcomes_total', 'How requests to the proxy ended.', ['outcome'], collectKept),
      seconds: histogram(
        'archway_proxy_request_seconds',
        'Time of forwarded requests from head to end, without watches and other streams.',
        ['verb'],
        PROXIED_SECONDS,
      ),
      headSeconds: histogram(
        'archway_proxy_head_seconds',
        'Time of forwarded requests until the head of the answer.',
        ['verb'],
        PROXIED_SECONDS,
      ),
      bytes: counter(
        'archway_proxy_bytes_total',
        'Bytes of bodies and of upgraded connections, by direction.',
        ['direction'],
        collectKept,
      ),
      refused: counter('archway_proxy_refused_total', 'Requests that header hygiene refused, by threat.', ['threat']),
      limited: counter('archway_proxy_limited_total', 'Requests refused for a limit, by whose it is.', ['limit']),
      spoofed: counter('archway_proxy_spoofed_headers_total', 'Identity headers of clients that were left out.', []),
      inFlight: gauge('archway_proxy_in_flight', 'Requests under way: short ones, and long ones such as watches.', [
        'duration',
      ]),
      waiting: gauge('archway_proxy_waiting', 'Requests that wait for their turn.', []),
      users: gauge('archway_proxy_active_users', 'Users who have something under way.', []),
      upstreamReady: gauge('archway_proxy_upstream_ready', '1 when the API server is asked, 0 when it is not.', [
        'upstream',
      ]),
      upstreamConnections: gauge('archway_proxy_upstream_connections', 'Connections to API servers.', [
        'upstream',
        'state',
      ]),
      upstreamEvents: counter('archway_proxy_upstream_events_total', 'What befell an API server, by event.', [
        'upstream',
        'event',
      ]),
      upstreamCertificateNotAfter: gauge(
        'archway_proxy_upstream_certificate_not_after_seconds',
        'When the front-proxy client certificate expires, in seconds since the epoch.',
        [],
      ),
    },
  }
}
