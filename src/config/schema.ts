/**
 * The configuration: one schema gives types, defaults, messages, flags, environment variables, the reference page and
 * the JSON Schema. Owns what can be set; leaves reading it to `load.ts` and using it to `compose.ts`.
 *
 * @module
 */
import { z } from 'zod'
import { TOKEN_SCOPES } from '../authn/keystone-identity.ts'
import { usernameFormat } from '../authn/username-format.ts'
import { parseKeystoneUrl } from '../keystone/url.ts'
import { LOG_FORMATS, LOG_LEVELS } from '../telemetry/logger.ts'
import { ldapSource } from './ldap-source.ts'
import { mappingOptions } from './mapping-options.ts'
import { authenticationConfigurationSource, oidcSource } from './oidc-source.ts'
import { checkedText, option } from './option.ts'
import { passwordFileSource } from './password-file-source.ts'
import { loginProtection } from './protection.ts'
import { proxySection } from './proxy.ts'
import { requestHeaderSource } from './request-header-source.ts'
import { tracingSection } from './tracing.ts'
import { duration, filePath, listenAddress, objectName } from './values.ts'
import { x509Source } from './x509-source.ts'

const MIB = 1024 * 1024

const serverTls = z.strictObject({
  certFile: option(filePath().optional(), 'Serving certificate, PEM; may hold the chain. Reloaded when it changes.', {
    flag: 'tls-cert-file',
    env: 'ARCHWAY_TLS_CERT_FILE',
    value: 'FILE',
    door: 'webhook',
  }),
  keyFile: option(filePath().optional(), 'Private key of the serving certificate, PEM. Reloaded with it.', {
    flag: 'tls-private-key-file',
    env: 'ARCHWAY_TLS_PRIVATE_KEY_FILE',
    value: 'FILE',
    door: 'webhook',
  }),
  clientCAFile: option(
    filePath().optional(),
    'CA of those who may ask, PEM. When set, every caller has to show a certificate of it.',
    { flag: 'tls-client-ca-file', env: 'ARCHWAY_TLS_CLIENT_CA_FILE', value: 'FILE', door: 'webhook' },
  ),
  clientNames: option(
    z.array(z.string().min(1)).default([]),
    'Names (CN or DNS SAN) of the callers that may ask; empty: every certificate of `clientCAFile`.',
  ),
})

const limits = z.strictObject({
  bodyBytes: option(
    z
      .int()
      .min(1024)
      .max(64 * MIB)
      .default(MIB),
    'Longest request body, in bytes.',
  ),
  headerBytes: option(z.int().min(1024).max(MIB).default(16_384), 'Longest request head, in bytes.'),
  connections: option(z.int().min(1).default(1024), 'Connections open at once; more are refused.'),
  requests: option(z.int().min(1).default(1024), 'Requests in flight at once; more are answered with 503.'),
  requestTimeout: option(duration({ min: '1s' }).prefault('15s'), 'Time for a request to arrive whole.'),
  deadline: option(
    duration({ min: '1s', max: '28s' }).prefault('20s'),
    'Time for a request to be answered. kube-apiserver gives up after 30 s.',
  ),
  idleTimeout: option(duration({ min: '1s' }).prefault('2m'), 'Time a connection may lie idle.'),
  handshakeTimeout: option(duration({ min: '1s' }).prefault('10s'), 'Time for a TLS handshake.'),
})

const server = z.strictObject({
  listen: option(listenAddress().default('0.0.0.0:8443'), 'Address and port of the HTTPS listener.', {
    flag: 'listen',
    env: 'ARCHWAY_LISTEN',
    value: 'ADDR',
    door: 'webhook',
  }),
  tls: serverTls.prefault({}),
  limits: limits.prefault({}),
  drain: option(
    duration().prefault('20s'),
    'Time that requests under way have to finish after SIGTERM; what is left then is cut off.',
  ),
})

const admin = z.strictObject({
  listen: option(
    listenAddress().default('127.0.0.1:9443'),
    'Address and port of /livez, /readyz and /metrics (plain HTTP, never on the public listener).',
    { flag: 'admin-listen', env: 'ARCHWAY_ADMIN_LISTEN', value: 'ADDR' },
  ),
})

const tokenFileSource = z
  .strictObject({
    path: option(filePath(), 'The file: CSV as of kube-apiserver (`token,user,uid,"group1,group2"`). Reloaded.', {
      flag: 'token-file',
      env: 'ARCHWAY_TOKEN_FILE',
      value: 'FILE',
      makes: true,
    }),
    name: option(z.string().min(1).default('token-file'), 'Name of the source in logs and metrics.'),
  })
  .describe('Static tokens from a file.')

const keystoneSource = z
  .strictObject({
    url: option(
      checkedText(parseKeystoneUrl),
      'Identity v3 URL. One that ends in /v3 is used as it is; otherwise the version is discovered.',
      { flag: 'keystone-url', env: 'ARCHWAY_KEYSTONE_URL', value: 'URL', makes: true },
    ),
    name: option(z.string().min(1).default('keystone'), 'Name of the source in logs and metrics.'),
    caFile: option(filePath().optional(), 'CA bundle for Keystone, PEM. Reloaded when it changes.', {
      flag: 'keystone-ca-file',
      env: 'ARCHWAY_KEYSTONE_CA_FILE',
      value: 'FILE',
    }),
    caMode: option(
      z.enum(['replace', 'add']).default('replace'),
      'Whether `caFile` replaces the system roots or adds to them.',
    ),
    allowLoopback: option(
      z.boolean().default(false),
      'Whether a host name other than localhost may lead to a loopback address over plain http. Over https it may.',
    ),
    clientCertFile: option(filePath().optional(), 'Client certificate for Keystone, PEM.'),
    clientKeyFile: option(filePath().optional(), 'Private key of the client certificate, PEM.'),
    timeout: option(
      duration({ min: '100ms', max: '20s' }).prefault('8s'),
      'Deadline of one request to Keystone, waiting for a free connection included.',
    ),
    connections: option(z.int().min(1).max(1024).default(32), 'Requests to Keystone at once.'),
    queue: option(z.int().min(0).default(1024), 'Requests waiting for a free connection; more are an outage.'),
    usernameFormat: option(
      checkedText(usernameFormat).default('%n'),
      'User name: %n the name, %i the id, %d the domain name. `%n@%d` keeps equal names of two domains apart.',
      { flag: 'keystone-username-format', env: 'ARCHWAY_KEYSTONE_USERNAME_FORMAT', value: 'FORMAT' },
    ),
    scopes: option(
      z.array(z.enum(TOKEN_SCOPES)).min(1).default(['project']),
      'Token scopes that are let in. Only project-scoped tokens bring the project keys of `extra`.',
    ),
    methods: option(
      z.array(z.string().min(1)).default([]),
      'Ways of logging in that are let in (`password`, `application_credential`, `totp` …); empty: every way.',
    ),
    maxGroups: option(z.int().min(1).default(1000), 'Groups a user may have; with more the token is refused.'),
    userAgent: option(z.array(z.string().min(1)).default([]), 'Put before the User-Agent sent to Keystone.'),
    passwords: z
      .strictObject({
        enabled: option(z.boolean().default(true), 'Whether user names with passwords are checked at Keystone, too.'),
        domain: option(
          z.string().min(1).default('default'),
          'Domain of names that name none, by name; `default` is the id of the first one.',
        ),
        domains: option(
          z.array(z.string().min(1)).default([]),
          'Domains that `name@domain` and `domain\\name` may name; empty: whatever stands there. Set it where names hold an `@`.',
        ),
        project: option(
          z.string().min(1).optional(),
          'Name of the project that people work in. Without it their default project; who has none is let in only where `scopes` has `unscoped`.',
        ),
        projectDomain: option(z.string().min(1).optional(), 'Domain of `project`. Default: `domain`.'),
      })
      .prefault({}),
  })
  .describe('OpenStack Keystone tokens, each checked with itself as authority.')

const apiserverSource = z
  .strictObject({
    name: option(z.string().min(1).default('apiserver'), 'Name of the source in logs and metrics.'),
    audiences: option(
      z.array(z.string().min(1)).min(1),
      'Whom a token has to be made for; one of them is enough. Names of ours, not those of the API server.',
    ),
    serviceAccountsOnly: option(z.boolean().default(true), 'Whether nobody but service accounts comes this way.'),
  })
  .describe('Tokens that the API server knows, asked by TokenReview. Not for the webhook: it would be asked in turn.')

const anonymousSource = z.strictObject({}).describe('Whoever shows no credential is `system:anonymous`.')

/** One source: an object with the key of its kind, and what is done with its names. */
const authenticator = z.strictObject({
  tokenFile: tokenFileSource.optional(),
  passwordFile: passwordFileSource.optional(),
  x509: x509Source.optional(),
  keystone: keystoneSource.optional(),
  ldap: ldapSource.optional(),
  oidc: oidcSource.optional(),
  authenticationConfiguration: authenticationConfigurationSource.optional(),
  apiserver: apiserverSource.optional(),
  requestHeader: requestHeaderSource.optional(),
  anonymous: anonymousSource.optional(),
  mapping: mappingOptions.optional(),
})

const keystonePolicyAuthorizer = z
  .strictObject({
    name: option(z.string().min(1).default('keystone-policy'), 'Name of the authorizer in logs and metrics.'),
    files: option(
      z.array(filePath()).default([]),
      'Policy files, JSON (or YAML), in the format of k8s-keystone-auth, versions 1 and 2. Reloaded.',
      { flag: 'keystone-policy-file', env: 'ARCHWAY_KEYSTONE_POLICY_FILE', value: 'FILE', makes: true },
    ),
    configMaps: option(
      z.array(objectName()).default([]),
      'ConfigMaps with a policy under the key `policies`: namespace/name, or a name in kube-system. Watched. Rules of all files and ConfigMaps add up.',
      { flag: 'policy-configmap-name', env: 'ARCHWAY_POLICY_CONFIGMAP_NAME', value: 'NAME', makes: true },
    ),
    subresources: option(
      z.enum(['compat', 'guarded', 'strict']).default('guarded'),
      'What a key without a subresource covers: all (compat); all but exec, attach, portforward, proxy, token and ephemeralcontainers, unless it says * for verb or resource (guarded); none (strict).',
      { flag: 'policy-subresources', env: 'ARCHWAY_POLICY_SUBRESOURCES', value: 'MODE' },
    ),
    anyIdentity: option(
      z.boolean().default(false),
      'Whether rules apply to identities that did not come by way of Keystone, too. In compat they do.',
    ),
    hardDeny: option(
      z.boolean().default(false),
      'Denies Keystone users what no rule allows, so that no authorizer behind this one is asked.',
    ),
    shadowFiles: option(
      z.array(filePath()).default([]),
      'A candidate policy that is evaluated beside the one in force: differences are counted and logged, never applied.',
    ),
  })
  .describe('Keystone policies: roles and projects of Keystone users.')

const rbacAuthorizer = z
  .strictObject({
    name: option(z.string().min(1).default('rbac'), 'Name of the authorizer in logs and metrics.'),
    manifests: option(
      filePath().optional(),
      'Folder of manifests with Roles, ClusterRoles and their bindings. Reloaded. Without it those of the cluster are watched.',
      { flag: 'rbac-manifests', env: 'ARCHWAY_RBAC_MANIFESTS', value: 'DIR', makes: true },
    ),
  })
  .describe('Kubernetes RBAC.')

const abacAuthorizer = z
  .strictObject({
    name: option(z.string().min(1).default('abac'), 'Name of the authorizer in logs and metrics.'),
    path: option(filePath(), 'Policy file as of `--authorization-policy-file` of kube-apiserver. Reloaded.', {
      flag: 'abac-file',
      env: 'ARCHWAY_ABAC_FILE',
      value: 'FILE',
      makes: true,
    }),
  })
  .describe("kube-apiserver's ABAC policy file.")

const nodeAuthorizerOptions = z
  .strictObject({
    name: option(z.string().min(1).default('node'), 'Name of the authorizer in logs and metrics.'),
    kubernetesMinor: option(
      z.int().min(20).max(99),
      'Minor version of the cluster, 33 for 1.33: what nodes may do depends on it.',
    ),
  })
  .describe('Nodes: what their pods need, from the cluster watched.')

const webhookAuthorizerOptions = z
  .strictObject({
    name: option(z.string().min(1).default('webhook'), 'Name of the authorizer in logs and metrics.'),
    kubeconfig: option(filePath(), 'Where it is and how to ask it, as --authorization-webhook-config-file. Followed.'),
    apiVersion: option(z.enum(['v1', 'v1beta1']).default('v1'), 'Version of SubjectAccessReview it speaks.'),
    timeout: option(duration({ min: '100ms', max: '20s' }).prefault('5s'), 'For a decision, all tries included.'),
    failurePolicy: option(
      z.enum(['no-opinion', 'deny']).default('no-opinion'),
      'What it comes to when there is no answer.',
    ),
  })
  .describe('Another SubjectAccessReview server.')

/** One authorizer: an object with one key, its kind. */
const authorizer = z.strictObject({
  keystonePolicy: keystonePolicyAuthorizer.optional(),
  rbac: rbacAuthorizer.optional(),
  abac: abacAuthorizer.optional(),
  node: nodeAuthorizerOptions.optional(),
  webhook: webhookAuthorizerOptions.optional(),
  alwaysAllow: z.strictObject({}).optional().describe('Allows everything.'),
  alwaysDeny: z
    .strictObject({
      hard: option(z.boolean().default(false), 'Denies, so that nobody behind is asked; else it has no opinion.'),
    })
    .optional()
    .describe('Allows nothing.'),
})

const recorder = z.strictObject({
  path: option(
    filePath().optional(),
    'File (0600) that SubjectAccessReviews and their decisions are recorded in, for `archway policy replay`. It must not exist.',
  ),
  maxBytes: option(
    z
      .int()
      .min(65_536)
      .default(64 * MIB),
    'Longest recording, in bytes; then it ends, or goes on in the next file.',
  ),
  files: option(
    z.int().min(1).max(100).default(4),
    'Files kept; the oldest goes. With 1, a file that is there already ends the start.',
  ),
  hashUsers: option(z.boolean().default(false), 'Records stand-ins for user names, under a key of this file only.'),
})

const identity = z.strictObject({
  usernamePrefix: option(z.string().default(''), 'Put before every user name.'),
  groupPrefix: option(z.string().default(''), 'Put before every group name, project ids included.'),
  reservedGroups: option(
    z.enum(['drop', 'refuse']).default('drop'),
    'What a group called `system:…` does: it is left out, or the whole identity is refused.',
  ),
  allowReserved: option(
    z.array(z.string().min(1)).default([]),
    'Reserved names that may pass, exactly as written. Whoever may name a Keystone group so gets its rights.',
  ),
})

const cache = z.strictObject({
  ttl: option(
    duration({ max: '10m' }).prefault('30s'),
    'How long an accepted token is remembered; never past its expiry. 0s: not at all. Part of the revocation time.',
    { flag: 'cache-ttl', env: 'ARCHWAY_CACHE_TTL', value: 'DURATION' },
  ),
  negativeTtl: option(duration({ max: '10m' }).prefault('10s'), 'How long a refused token is remembered.', {
    flag: 'cache-negative-ttl',
    env: 'ARCHWAY_CACHE_NEGATIVE_TTL',
    value: 'DURATION',
  }),
  entries: option(z.int().min(1).max(10_000_000).default(10_000), 'Tokens remembered; the least used go first.'),
})

const webhook = z.strictObject({
  tokenLength: option(z.int().min(64).default(16_384), 'Longest token that is looked at, in characters.'),
  explainRefusals: option(
    z.boolean().default(false),
    'Puts the cause of a refusal into `status.error`. kube-apiserver then remembers no refusal.',
  ),
})

const kubernetes = z.strictObject({
  kubeconfig: option(
    filePath().optional(),
    'Access to the Kubernetes API, for ConfigMaps and what is watched. Without it that of the pod.',
    { flag: 'kubeconfig', env: 'ARCHWAY_KUBECONFIG', value: 'FILE' },
  ),
  authenticationCacheTtl: option(
    duration().prefault('2m'),
    'What kube-apiserver has as `--authentication-token-webhook-cache-ttl`: only to state the revocation time.',
  ),
})

const logging = z.strictObject({
  level: option(z.enum(LOG_LEVELS).default('decision'), 'Least level that is written.', {
    flag: 'log-level',
    env: 'ARCHWAY_LOG_LEVEL',
    value: 'LEVEL',
  }),
  format: option(z.enum(LOG_FORMATS).default('auto'), '`auto`: for people on a terminal, JSON elsewhere.', {
    flag: 'log-format',
    env: 'ARCHWAY_LOG_FORMAT',
    value: 'FORMAT',
  }),
})

/** The whole configuration. What one value asks of another is in `cross-checks.ts`. */
export const configSchema = z.strictObject({
  server: server.prefault({}),
  admin: admin.prefault({}),
  authenticators: z
    .array(authenticator)
    .min(1, 'no source of identities: name at least one, such as --keystone-url URL or --token-file FILE')
    .describe('Sources of identities, asked in this order; the first proof wins.'),
  authorizers: z
    .array(authorizer)
    .default([])
    .describe('Authorizers, asked in this order; the first allow or deny wins. None: no opinion on anything.'),
  identity: identity.prefault({}),
  loginProtection: loginProtection.prefault({}),
  audiences: option(
    z.array(z.string().min(1)).default([]),
    'Audiences that tokens are good for. Empty: not audience-aware; kube-apiserver then assumes its own.',
  ),
  cache: cache.prefault({}),
  webhook: webhook.prefault({}),
  proxy: proxySection.prefault({}),
  kubernetes: kubernetes.prefault({}),
  recorder: recorder.prefault({}),
  logging: logging.prefault({}),
  tracing: tracingSection.prefault({}),
})

/** The configuration, checked and with defaults filled in. Durations are milliseconds. */
export type Config = z.output<typeof configSchema>
/** The configuration as it is written. */
export type ConfigInput = z.input<typeof configSchema>
export type AuthorizerSettings = Config['authorizers'][number]
export type AuthenticatorSettings = Config['authenticators'][number]
export type ApiserverSource = NonNullable<AuthenticatorSettings['apiserver']>
export type KeystoneSource = NonNullable<AuthenticatorSettings['keystone']>
