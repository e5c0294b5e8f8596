/**
 * The proxy door: what can be set of it. Sources of identities, authorizers, logging and the rest stand beside it and
 * are the same for every door.
 *
 * @module
 */
import { z } from 'zod'
import { parseUpstreamUrl } from '../kube/server-url.ts'
import { checkedText, option } from './option.ts'
import { duration, filePath, listenAddress } from './values.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Headers that HTTP itself, or the credential of a request, depends on. */
const MEANINGFUL: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'expect',
  'host',
  'proxy-authorization',
  'sec-websocket-protocol',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

const tls = z.strictObject({
  certFile: option(filePath().optional(), 'Serving certificate, PEM; may hold the chain. Reloaded when it changes.', {
    flag: 'tls-cert-file',
    env: 'ARCHWAY_PROXY_TLS_CERT_FILE',
    value: 'FILE',
    door: 'proxy',
  }),
  keyFile: option(filePath().optional(), 'Private key of the serving certificate, PEM. Reloaded with it.', {
    flag: 'tls-private-key-file',
    env: 'ARCHWAY_PROXY_TLS_PRIVATE_KEY_FILE',
    value: 'FILE',
    door: 'proxy',
  }),
})

const upstream = z.strictObject({
  caFile: option(
    filePath().optional(),
    'CA bundle that the API servers are certified by, PEM. The only one that counts. Reloaded when it changes.',
    { flag: 'upstream-ca-file', env: 'ARCHWAY_UPSTREAM_CA_FILE', value: 'FILE', door: 'proxy' },
  ),
  clientCertFile: option(
    filePath().optional(),
    'Front-proxy client certificate, PEM: of the CA that the API servers have as `--requestheader-client-ca-file`. Reloaded.',
    { flag: 'upstream-client-cert-file', env: 'ARCHWAY_UPSTREAM_CLIENT_CERT_FILE', value: 'FILE', door: 'proxy' },
  ),
  clientKeyFile: option(filePath().optional(), 'Private key of the front-proxy certificate, PEM. Reloaded with it.', {
    flag: 'upstream-client-key-file',
    env: 'ARCHWAY_UPSTREAM_CLIENT_KEY_FILE',
    value: 'FILE',
    door: 'proxy',
  }),
  serverName: option(
    z.string().min(1).optional(),
    'Name that the certificates of the API servers must have, where it is not the host of the URL.',
    { flag: 'upstream-server-name', env: 'ARCHWAY_UPSTREAM_SERVER_NAME', value: 'NAME', door: 'proxy' },
  ),
  connectTimeout: option(duration({ min: '100ms', max: '1m' }).prefault('5s'), 'Time for a connection, TLS included.'),
  checkInterval: option(duration({ min: '500ms', max: '10m' }).prefault('5s'), 'How often each server is checked.'),
  checkTimeout: option(duration({ min: '100ms', max: '1m' }).prefault('3s'), 'Time for a check; then it has failed.'),
  idleConnections: option(z.int().min(0).max(10_000).default(100), 'Connections kept for each server when unused.'),
  idleTimeout: option(duration({ min: '1s', max: '10m' }).prefault('1m'), 'How long an unused connection is kept.'),
  selfCheck: option(
    z.enum(['require', 'warn', 'off']).default('require'),
    'At the start: do the servers accept our identity headers, and is our certificate alone nobody? Where not, `require` keeps the proxy from being ready.',
  ),
})

const limits = z.strictObject({
  connections: option(z.int().min(1).default(10_000), 'Connections open at once; more are refused.'),
  handshakeTimeout: option(duration({ min: '1s' }).prefault('10s'), 'Time for a TLS handshake.'),
  headerBytes: option(
    z
      .int()
      .min(4 * KIB)
      .max(MIB)
      .default(64 * KIB),
    'Longest head of a request, in bytes. More is answered 431.',
  ),
  headTimeout: option(duration({ min: '1s' }).prefault('15s'), 'Time for the head of a request to arrive whole.'),
  bodyBytes: option(
    z.int().min(0).default(0),
    'Longest body of a request, in bytes; 0: as long as the API server takes. More is answered 413.',
  ),
  stallTimeout: option(
    duration({ min: '1s' }).prefault('1m'),
    'How long a client may neither send the rest of its body nor take the rest of an answer.',
  ),
  idleTimeout: option(duration({ min: '1s' }).prefault('2m'), 'Time a connection may lie idle between requests.'),
  http2Streams: option(z.int().min(1).max(10_000).default(250), 'Requests at once on one HTTP/2 connection.'),
  identityBytes: option(
    z
      .int()
      .min(4 * KIB)
      .max(MIB)
      .default(128 * KIB),
    'Longest identity in headers, in bytes: user, groups and extra. An identity is never cut; a longer one is refused.',
  ),
  requests: option(z.int().min(1).default(400), 'Short requests under way at once; more wait for their turn.'),
  userRequests: option(z.int().min(1).default(100), 'Short requests of one user under way at once; more wait.'),
  queue: option(z.int().min(0).default(1000), 'Requests that wait; more are answered 429.'),
  userQueue: option(z.int().min(0).default(50), 'Requests of one user that wait; more are answered 429.'),
  queueTimeout: option(duration({ min: '100ms', max: '5m' }).prefault('15s'), 'Longest wait; then 429.'),
  streams: option(z.int().min(1).default(10_000), 'Watches, logs, exec and the like at once; more are answered 429.'),
  userStreams: option(z.int().min(1).default(1000), 'Those of one user.'),
})

/** `proxy:` of the configuration. What is required of it is required by the cross-checks, where there is a proxy. */
export const proxySection = z.strictObject({
  listen: option(listenAddress().default('0.0.0.0:6443'), 'Address and port of the HTTPS listener.', {
    flag: 'listen',
    env: 'ARCHWAY_PROXY_LISTEN',
    value: 'ADDR',
    door: 'proxy',
  }),
  tls: tls.prefault({}),
  http2: option(z.boolean().default(true), 'Whether clients may speak HTTP/2; else HTTP/1.1 only.'),
  upstreams: option(
    z.array(checkedText(parseUpstreamUrl)).default([]),
    'API servers: `https://HOST:PORT`, each by itself, not behind another balancer. The flag may be given several times.',
    { flag: 'upstream', env: 'ARCHWAY_UPSTREAM', value: 'URL', door: 'proxy' },
  ),
  upstream: upstream.prefault({}),
  impersonation: option(
    z.enum(['refuse', 'pass']).default('refuse'),
    'What `Impersonate-*` headers come to: 400, or passed on for the API server to judge by the rights of who asks.',
    { flag: 'impersonation', env: 'ARCHWAY_PROXY_IMPERSONATION', value: 'MODE', door: 'proxy' },
  ),
  identityHeaders: option(
    z
      .array(
        z
          .string()
          .regex(/^[A-Za-z0-9-]+$/, 'expected the name of a header, or its beginning')
          .refine(
            (name) => !MEANINGFUL.has(name.toLowerCase()),
            'has a meaning of its own: no identity is read from it',
          ),
      )
      .default([]),
    'Further headers that your API servers read identities from (`--requestheader-*`), never taken from clients. One that ends in `-` is the beginning of such names.',
  ),
  serviceAccountIssuers: option(
    z.array(z.string().min(1)).default([]),
    'Issuers of the cluster (`--service-account-issuer`) whose tokens are passed on untouched, for the API server to judge.',
  ),
  authorize: option(
    z.boolean().default(false),
    'Whether the authorizers below decide here already. A no is final; what they allow, the API server still judges.',
  ),
  limits: limits.prefault({}),
  drain: option(
    duration().prefault('30s'),
    'Time that requests under way have to finish after SIGTERM; watches end early, the rest is cut off then.',
  ),
})
