/**
 * Keystone as a source: tokens and passwords, checked by one client.
 *
 * @module
 */
import { cached } from '../../authn/cached.ts'
import type { KeystoneIdentityOptions } from '../../authn/keystone-identity.ts'
import { keystonePassword } from '../../authn/keystone-password.ts'
import { keystoneToken } from '../../authn/keystone-token.ts'
import { usernameFormat } from '../../authn/username-format.ts'
import type { KeystoneSource } from '../../config/schema.ts'
import { type IdentityClient, keystoneClient, type PasswordLogin } from '../../keystone/identity-client.ts'
import { type KeystoneTls, secureContext } from '../../keystone/tls.ts'
import { reloading } from '../../reload/reloading.ts'
import type { CheckResult } from '../../server/admin.ts'
import type { Logger } from '../../telemetry/logger.ts'
import type { Followed } from '../part.ts'
import { cacheOptions, type Source, type SourceOptions } from './source.ts'

/** Throws where its files cannot be used. Keystone itself need not be up. */
export async function openKeystone(source: KeystoneSource, options: SourceOptions): Promise<Source> {
  const { name } = source
  const { metrics, log, version } = options
  const files = await keystoneTlsFiles(source, log, (tls) => client.reloadTls(tls))
  const client: IdentityClient = keystoneClient({
    url: source.url,
    tls: files?.current() ?? {},
    timeoutMs: source.timeout,
    connections: source.connections,
    queue: source.queue,
    maxGroups: source.maxGroups,
    // Over https the certificate says whose address it is: one machine may hold Keystone and us.
    allowLoopback: source.allowLoopback || source.url.startsWith('https:'),
    userAgent: [...source.userAgent, `archway/${version}`].join(' '),
    observe: ({ call, outcome, seconds }) => {
      metrics.keystoneCalls.labels(name, call, outcome).inc()
      metrics.keystoneSeconds.labels(name, call).observe(seconds)
    },
  })
  if (client.insecure) {
    log.warn({ source: name, url: client.url }, 'Keystone is asked over plain http: tokens can be read on the way')
  }
  const identity: Omit<KeystoneIdentityOptions, 'identity'> = {
    name,
    usernameFormat: usernameFormat(source.usernameFormat),
    scopes: source.scopes,
    methods: source.methods,
    now: () => new Date(),
  }
  const token = cached(keystoneToken({ ...identity, identity: client }), cacheOptions(name, options))
  return {
    name,
    proofs: {
      token,
      ...(source.passwords.enabled
        ? { password: keystonePassword({ ...identity, ...passwords(source, client) }) }
        : {}),
    },
    caches: [token],
    files: files === undefined ? [] : [files],
    checks: [{ name, check: () => pingKeystone(client, source.timeout, log) }],
    async close() {
      files?.close()
      await client.close()
    },
  }
}

async function pingKeystone(client: IdentityClient, timeoutMs: number, log: Logger): Promise<CheckResult> {
  await client.ping({ signal: AbortSignal.timeout(timeoutMs), log, requestId: 'readiness' })
  return { ok: true, detail: `${client.url} answers` }
}

/** CA and client certificate for Keystone, followed; `undefined` where there are none. */
async function keystoneTlsFiles(
  source: KeystoneSource,
  log: Logger,
  onChange: (tls: KeystoneTls) => void,
): Promise<(Followed & { current(): KeystoneTls; close(): void }) | undefined> {
  const { caFile, clientCertFile, clientKeyFile, caMode } = source
  const paths = [caFile, clientCertFile, clientKeyFile].filter((path) => path !== undefined)
  if (paths.length === 0) return undefined
  const load = (contents: ReadonlyMap<string, Buffer>): KeystoneTls => {
    const content = (path: string | undefined): Buffer | undefined =>
      path === undefined ? undefined : contents.get(path)
    const [ca, cert, key] = [content(caFile), content(clientCertFile), content(clientKeyFile)]
    const tls: KeystoneTls = {
      caMode,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    }
    secureContext(tls) // throws for what cannot be used, so that the last good files stay
    return tls
  }
  return reloading({ name: `${source.name}-tls`, paths, load, log, onChange })
}

function passwords(
  { passwords: { domain, domains, project, projectDomain } }: KeystoneSource,
  identity: IdentityClient,
) {
  const defaultDomain = domainRef(domain)
  const scope: PasswordLogin['project'] =
    project === undefined ? undefined : { name: project, domain: domainRef(projectDomain ?? domain) }
  return { identity, defaultDomain, domains, ...(scope === undefined ? {} : { project: scope }) }
}

/** `default` is an id, as everywhere in OpenStack; anything else is a name. */
function domainRef(text: string): { readonly id: string } | { readonly name: string } {
  return text === 'default' ? { id: text } : { name: text }
}
