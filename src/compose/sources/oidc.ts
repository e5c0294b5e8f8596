/**
 * OpenID Connect issuers as sources: one, or those of an AuthenticationConfiguration file.
 *
 * @module
 */
import { type CachedAuthenticator, cached } from '../../authn/cached.ts'
import { authenticationConfigurationFile } from '../../authn/oidc/authentication-configuration-file.ts'
import { claimMapping } from '../../authn/oidc/claim-mapping.ts'
import { readClaimRules } from '../../authn/oidc/claim-rules.ts'
import { checkAuthorities } from '../../authn/oidc/issuer-http.ts'
import { type IssuerKeys, issuerKeys } from '../../authn/oidc/issuer-keys.ts'
import { oidcToken } from '../../authn/oidc/oidc-token.ts'
import { type AuthenticationConfigurationSource, type OidcSource, oidcRules } from '../../config/oidc-source.ts'
import { InvalidDocumentError, messageOf } from '../../errors.ts'
import { reloading } from '../../reload/reloading.ts'
import type { CheckResult, ReadinessCheck } from '../../server/admin.ts'
import { cacheOptions, type Source, type SourceOptions } from './source.ts'

/** Throws where its rules or its CA file cannot be used. The issuer itself need not be up. */
export async function openOidc(source: OidcSource, options: SourceOptions): Promise<Source> {
  const { name, caFile, audiences, algorithms, leeway, tokenLength, timeout, refresh, cooldown, staleKeys } = source
  const { log } = options
  const read = readClaimRules(oidcRules(source))
  if (read.kind === 'faulty') throw new InvalidDocumentError('config_invalid', name, read.problems)
  const file = caFile === undefined ? undefined : await authorities(name, caFile, options)
  const keys = issuerKeys({
    issuer: source.issuer,
    ...(source.discoveryUrl === undefined ? {} : { discoveryUrl: source.discoveryUrl }),
    ...(file === undefined ? {} : { ca: () => file.current() }),
    allowHttpLoopback: source.allowHttpLoopback,
    log,
    timeoutMs: timeout,
    refreshMs: refresh,
    cooldownMs: cooldown,
    staleMs: staleKeys,
  })
  const mapping = claimMapping(read.rules)
  const token = cached(
    oidcToken({ name, keys, audiences, algorithms, mapping, leewayMs: leeway, maxTokenLength: tokenLength }),
    cacheOptions(name, options),
  )
  return {
    name,
    proofs: { token },
    caches: [token],
    files: file === undefined ? [] : [file],
    checks: [issuerCheck(name, () => [keys], timeout)],
    close() {
      file?.close()
      keys.close()
    },
  }
}

/** Throws where the file cannot be used. */
export async function openAuthenticationConfiguration(
  source: AuthenticationConfigurationSource,
  options: SourceOptions,
): Promise<Source> {
  const { name, path, algorithms, leeway, tokenLength, timeout, refresh, cooldown, staleKeys } = source
  let token: CachedAuthenticator | undefined
  const file = await authenticationConfigurationFile({
    name,
    path,
    algorithms,
    leewayMs: leeway,
    maxTokenLength: tokenLength,
    keys: { timeoutMs: timeout, refreshMs: refresh, cooldownMs: cooldown, staleMs: staleKeys },
    log: options.log,
    onChange: () => token?.flush(),
  })
  token = cached(file, cacheOptions(name, options))
  if (file.anonymous() !== undefined) {
    options.log.info({ source: name }, 'the section `anonymous` is for kube-apiserver to obey; it changes nothing here')
  }
  return {
    name,
    proofs: { token },
    caches: [token],
    files: [file],
    checks: [issuerCheck(name, () => file.issuers(), timeout)],
    close: () => file.close(),
  }
}

function authorities(name: string, path: string, { log }: SourceOptions) {
  return reloading({
    name: `${name}-tls`,
    paths: [path],
    log,
    load(files) {
      const pem = files.get(path)?.toString('utf8') ?? ''
      checkAuthorities(pem)
      return pem
    },
  })
}

/** An issuer that is down makes nobody unready: its tokens cannot be judged, those of the other sources can. */
function issuerCheck(name: string, issuers: () => readonly IssuerKeys[], timeoutMs: number): ReadinessCheck {
  return {
    name,
    async check(): Promise<CheckResult> {
      const states = await Promise.all(
        issuers().map(async (keys) => {
          const problem = await keys.check(AbortSignal.timeout(timeoutMs)).catch(messageOf)
          return `${keys.issuer}: ${problem === undefined ? `${keys.status().keys} keys` : `away: ${problem}`}`
        }),
      )
      return { ok: true, detail: states.join('; ') }
    },
  }
}
