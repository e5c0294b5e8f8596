/**
 * Authorizers: settings become one authorizer with what has to be looked after.
 *
 * @module
 */
import { hostname } from 'node:os'
import { abacFile } from '../authz/abac/abac.ts'
import { alwaysAllow, alwaysDeny } from '../authz/always.ts'
import type { Authorizer } from '../authz/authorizer.ts'
import { type CompileOptions, keystonePolicy } from '../authz/keystone-policy/index.ts'
import { nodeAuthorizer } from '../authz/node/node.ts'
import { nodeFeatures } from '../authz/node/rules.ts'
import { watchedGraph } from '../authz/node/watched-graph.ts'
import { configMapSource } from '../authz/policy-store/config-map-source.ts'
import { fileSource } from '../authz/policy-store/file-source.ts'
import { type PolicyStore, policyStore } from '../authz/policy-store/policy-store.ts'
import { manifestFolder } from '../authz/rbac/manifest-folder.ts'
import type { RuleListing } from '../authz/rbac/policy-rule.ts'
import { rbac } from '../authz/rbac/rbac.ts'
import { watchedRbac } from '../authz/rbac/watched-rbac.ts'
import { recorded } from '../authz/recording/recorded.ts'
import { openRecorder } from '../authz/recording/recorder.ts'
import { shadowed } from '../authz/recording/shadowed.ts'
import { union } from '../authz/union.ts'
import { webhookAuthorizer } from '../authz/webhook/webhook.ts'
import type { AuthorizerSettings, Config } from '../config/schema.ts'
import { qualifiedName } from '../config/values.ts'
import { ArchwayError } from '../errors.ts'
import { accessSource } from '../kube/api-client/access.ts'
import type { KubeClient } from '../kube/api-client/client.ts'
import { kubeconfigAccess } from '../kube/api-client/kubeconfig.ts'
import { transport } from '../kube/api-client/transport.ts'
import type { WatchedObjects } from '../kube/api-client/watch-objects.ts'
import type { ReadinessCheck } from '../server/admin.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { UserInfo } from '../user.ts'
import { connectToCluster } from './cluster.ts'
import { type Closer, closeAll, type Followed, type Part } from './part.ts'

/** The authorizers, as one. */
export interface Authorization extends Part {
  readonly authorizer: Authorizer
  /** The Keystone policies in force, for their digests. */
  readonly stores: readonly PolicyStore[]
  /** Authorizers that can tell what somebody may do. */
  readonly listers: readonly Lister[]
}

/** Tells what a user may do in a namespace; a policy is listed from its store. */
export type Lister = (user: UserInfo, namespace: string) => RuleListing

export interface AuthorizationOptions {
  readonly config: Config
  readonly metrics: Metrics
  readonly log: Logger
  readonly version: string
}

/** What is collected while parts open: everything is closed again where one cannot start. */
interface Opening extends AuthorizationOptions {
  readonly files: Followed[]
  readonly checks: ReadinessCheck[]
  readonly stores: PolicyStore[]
  readonly listers: Lister[]
  readonly closers: Closer[]
  /** Ends every watch. */
  readonly ending: AbortController
  /** Access to the cluster, made when first needed: without need for it nothing is asked of Kubernetes. */
  readonly cluster: () => KubeClient
}

/** Opens every authorizer of the configuration. */
export async function openAuthorization(options: AuthorizationOptions): Promise<Authorization> {
  const { config, log } = options
  const closers: Closer[] = []
  const ending = new AbortController()
  closers.push(() => ending.abort())
  let client: KubeClient | undefined
  const opening: Opening = {
    ...options,
    files: [],
    checks: [],
    stores: [],
    listers: [],
    closers,
    ending,
    cluster: () => (client ??= connectToCluster(options, closers)),
  }
  const close = (): Promise<void> => closeAll(closers, log)
  try {
    const members: Authorizer[] = []
    for (const settings of config.authorizers) members.push(await openAuthorizer(settings, opening))
    const authorizer = await withRecorder(union(members), config, log, closers)
    const { files, checks, stores, listers } = opening
    return { authorizer, files, checks, stores, listers, close }
  } catch (thrown) {
    await close()
    throw thrown
  }
}

async function openAuthorizer(settings: AuthorizerSettings, opening: Opening): Promise<Authorizer> {
  const { keystonePolicy: policy, rbac: roles, abac, node, webhook, alwaysAllow: allow, alwaysDeny: deny } = settings
  if (policy !== undefined) return openKeystonePolicy(policy, opening)
  if (roles !== undefined) return openRbac(roles, opening)
  if (abac !== undefined) return openAbac(abac, opening)
  if (node !== undefined) return openNode(node, opening)
  if (webhook !== undefined) return openWebhook(webhook, opening)
  if (allow !== undefined) return alwaysAllow()
  if (deny !== undefined) return alwaysDeny(deny)
  throw new ArchwayError('config_invalid', 'authorizers: an authorizer of no known kind')
}

type SettingsOf<Kind extends keyof AuthorizerSettings> = NonNullable<AuthorizerSettings[Kind]>

async function openKeystonePolicy(settings: SettingsOf<'keystonePolicy'>, opening: Opening): Promise<Authorizer> {
  const { name, files, subresources, anyIdentity, hardDeny, shadowFiles } = settings
  const { log, metrics } = opening
  const compile: CompileOptions = { subresources, ...(anyIdentity ? { requireKeystoneIdentity: false } : {}) }
  const configMaps = settings.configMaps.map(qualifiedName)
  const store = policyStore({ sources: [...files, ...configMaps], compile })
  await openFiles(files, store, opening)
  for (const configMap of configMaps) openConfigMap(configMap, store, opening)
  opening.stores.push(store)
  opening.checks.push(policyCheck(name, store))
  if (files.length > 0) {
    log.info({ authorizer: name, rules: store.size(), digest: store.digest() }, 'policy in force')
  }
  const inForce = keystonePolicy({ name, policy: () => store.current(), hardDeny })
  if (shadowFiles.length === 0) return inForce
  const candidate = policyStore({ sources: shadowFiles, compile })
  try {
    await openFiles(shadowFiles, candidate, opening)
  } catch (error) {
    // A candidate decides nothing, so it keeps nobody from starting either.
    log.error({ authorizer: name, error }, 'the shadow policy cannot be used: nothing is evaluated beside the policy')
    return inForce
  }
  return shadowed(inForce, keystonePolicy({ name: `${name}-shadow`, policy: () => candidate.current(), hardDeny }), {
    observe: (outcome) => metrics.shadow.labels(name, outcome).inc(),
    log,
  })
}

/** Files are read in the order they are named; each must be usable at start. */
async function openFiles(paths: readonly string[], store: PolicyStore, opening: Opening): Promise<void> {
  for (const path of paths) {
    const file = await fileSource({ path, store, log: opening.log })
    opening.closers.push(() => file.close())
    opening.files.push(file)
  }
}

/** The ConfigMap need not be there, nor the API server: nobody is kept from logging in while either is missing. */
function openConfigMap(where: string, store: PolicyStore, opening: Opening): void {
  const [namespace = '', name = ''] = where.split('/')
  const source = configMapSource({
    namespace,
    name,
    client: opening.cluster(),
    store,
    log: opening.log,
    signal: opening.ending.signal,
    instance: hostname(),
  })
  opening.files.push({ status: () => source.status(), check: async () => {} })
}

function policyCheck(name: string, store: PolicyStore): ReadinessCheck {
  return {
    name,
    check() {
      const missing = store.missing()
      if (missing.length > 0) return { ok: false, detail: `not loaded yet: ${missing.join(', ')}` }
      const since = store.changedAt().toISOString()
      return {
        ok: true,
        detail: `${store.size()} rules, sha256 ${store.digest().slice(0, 12)}, in force since ${since}`,
      }
    },
  }
}

async function openRbac({ name, manifests }: SettingsOf<'rbac'>, opening: Opening): Promise<Authorizer> {
  const { log, closers, ending } = opening
  if (manifests !== undefined) {
    const folder = await manifestFolder({ path: manifests, name: manifests, log })
    closers.push(() => folder.close())
    opening.files.push(folder)
    return listed(rbac({ name, source: folder }), opening)
  }
  const source = watchedRbac({ client: opening.cluster(), log, signal: ending.signal })
  opening.checks.push(watchCheck(name, source.watches))
  return listed(rbac({ name, source }), opening)
}

function listed(authorizer: Authorizer & { readonly rulesFor: Lister }, { listers }: Opening): Authorizer {
  listers.push(authorizer.rulesFor)
  return authorizer
}

async function openAbac({ name, path }: SettingsOf<'abac'>, opening: Opening): Promise<Authorizer> {
  const file = await abacFile({ path, name, log: opening.log })
  opening.closers.push(() => file.close())
  opening.files.push(file)
  return listed(file, opening)
}

function openNode({ name, kubernetesMinor }: SettingsOf<'node'>, opening: Opening): Authorizer {
  const features = nodeFeatures(kubernetesMinor)
  const { log, ending } = opening
  const watched = watchedGraph({ client: opening.cluster(), features, log, signal: ending.signal })
  opening.checks.push(watchCheck(name, watched.watches))
  return listed(nodeAuthorizer({ name, graph: watched.graph, features, ready: watched.ready }), opening)
}

function watchCheck(name: string, watches: readonly Pick<WatchedObjects<unknown>, 'status'>[]): ReadinessCheck {
  return {
    name,
    check() {
      const states = watches.map((watched) => watched.status())
      const error = states.find((state) => state.error !== undefined)?.error
      if (states.some(({ synced }) => !synced)) return { ok: false, detail: error ?? 'the cluster is not known yet' }
      return { ok: true, detail: error === undefined ? 'up to date' : `as last known: ${error}` }
    },
  }
}

async function openWebhook(settings: SettingsOf<'webhook'>, opening: Opening): Promise<Authorizer> {
  const { name, kubeconfig, apiVersion, timeout, failurePolicy } = settings
  const { log, metrics, closers, version } = opening
  const access = accessSource({ load: () => kubeconfigAccess({ path: kubeconfig }), log })
  await access.current() // a mistake in the file is one of the start
  const wire = transport({ access, userAgent: `archway/${version}` })
  closers.push(() => wire.close())
  return webhookAuthorizer({
    name,
    transport: wire,
    apiVersion: `authorization.k8s.io/${apiVersion}`,
    timeoutMs: timeout,
    failurePolicy,
    observe: (event) => metrics.authorizationWebhook.labels(name, event).inc(),
    onBreaker: (state) => log.warn({ authorizer: name, state }, 'circuit breaker of an authorization webhook'),
  })
}

async function withRecorder(
  authorizer: Authorizer,
  { recorder: { path, maxBytes, files, hashUsers } }: Config,
  log: Logger,
  closers: Closer[],
): Promise<Authorizer> {
  if (path === undefined) return authorizer
  const recorder = await openRecorder({ path, maxBytes, maxFiles: files, hashUsers, log, now: () => new Date() })
  closers.push(() => recorder.close())
  log.info({ path }, 'recording reviews')
  return recorded(authorizer, recorder)
}
