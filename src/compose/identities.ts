/**
 * Sources of identities: settings become one chain, shared by every door, with what has to be looked after.
 *
 * @module
 */
import { audienceBound } from '../authn/audiences.ts'
import type { Authenticator, AuthnResult, PasswordAuthenticator, TokenAuthenticator } from '../authn/authenticator.ts'
import { cachedPassword, type Remembered } from '../authn/cached.ts'
import { identityGate } from '../authn/identity-gate.ts'
import { mapped } from '../authn/mapping/mapped.ts'
import { anonymous } from '../authn/request/anonymous.ts'
import type { RequestCredentials } from '../authn/request/credentials.ts'
import { requestAuthenticator } from '../authn/request/request-authenticator.ts'
import { tokenFile } from '../authn/token-file.ts'
import { union } from '../authn/union.ts'
import type { AuthenticatorSettings } from '../config/schema.ts'
import { ArchwayError } from '../errors.ts'
import { withLoginProtection } from './login-protection.ts'
import { type Closer, closeAll, type Part } from './part.ts'
import { openRequestHeader, openX509 } from './sources/certificates.ts'
import { openKeystone } from './sources/keystone.ts'
import { openApiserver } from './sources/kubernetes.ts'
import { openLdap } from './sources/ldap.ts'
import { openAuthenticationConfiguration, openOidc } from './sources/oidc.ts'
import { openPasswordFile } from './sources/password-file.ts'
import { oneOfSeveral } from './sources/readiness.ts'
import { cacheOptions, type Proofs, type Source, type SourceOptions } from './sources/source.ts'

/** Everybody there is to know, opened. */
export interface Identities extends Part {
  readonly sources: readonly Source[]
  /** What bearer tokens come to: for the webhook, which sees nothing else. */
  readonly tokens: TokenAuthenticator
  /** What whole requests come to: for every other door. */
  readonly requests: Authenticator<RequestCredentials>
  /** Whether there is a source that judges bearer tokens. */
  readonly judgesTokens: boolean
  /** What is remembered, by name of the source. */
  readonly caches: readonly { readonly source: string; readonly cache: Remembered }[]
}

/** What a source said of a credential, or how it failed to. */
export type SourceOutcome = AuthnResult | { readonly kind: 'failed'; readonly cause: unknown }

/** Told of what each source says when it is asked: first itself, then what its mapping, if it has one, made of that. */
export type SourceWatch = (source: string, stage: 'source' | 'mapping', outcome: SourceOutcome) => void

export interface IdentitiesOptions extends Omit<SourceOptions, 'forgetPasswords'> {
  /** For whoever explains a decision. */
  readonly watch?: SourceWatch
}

/** Opens every source of the configuration. Throws, with nothing left open, where one cannot start. */
export async function openIdentities(options: IdentitiesOptions): Promise<Identities> {
  const { config, log, watch } = options
  const closers: Closer[] = []
  let passwords: (PasswordAuthenticator & Remembered) | undefined
  const forgetPasswords = (): void => passwords?.flush()
  try {
    const sources: Source[] = []
    for (const settings of config.authenticators) {
      const source = await openSource(settings, { ...options, forgetPasswords })
      closers.push(() => source.close())
      sources.push(withMapping(watched(source, 'source', watch), settings, watch))
    }
    const gated = gate(sources, options)
    const tokens = audienceBound(gated(union(proofs(sources, 'token'))), config.audiences)
    passwords = rememberedPasswords(proofs(sources, 'password'), options, closers)
    const requests = requestAuthenticator({
      ...group('requestHeader', proofs(sources, 'requestHeader'), gated),
      ...group('certificate', proofs(sources, 'certificate'), gated),
      ...(passwords === undefined ? {} : { password: gated(passwords) }),
      token: tokens,
      ...group('anonymous', proofs(sources, 'anonymous'), (whole) => whole),
    })
    return {
      sources,
      tokens,
      requests,
      judgesTokens: proofs(sources, 'token').length > 0,
      caches: [
        ...sources.flatMap(({ name, caches }) => caches.map((cache) => ({ source: name, cache }))),
        ...(passwords === undefined ? [] : [{ source: PASSWORDS, cache: passwords }]),
      ],
      files: sources.flatMap((source) => source.files),
      checks: sources.flatMap(({ checks }) => (sources.length > 1 ? checks.map(oneOfSeveral) : checks)),
      close: () => closeAll(closers, log),
    }
  } catch (thrown) {
    await closeAll(closers, log)
    throw thrown
  }
}

/** Opens one source. Throws where it cannot start. */
async function openSource(settings: AuthenticatorSettings, options: SourceOptions): Promise<Source> {
  const { tokenFile: tokens, keystone, ldap, oidc, authenticationConfiguration: file, apiserver } = settings
  const { passwordFile: passwords, x509: certificates, requestHeader: frontProxy } = settings
  if (tokens !== undefined) {
    const opened = await tokenFile({ ...tokens, log: options.log })
    return {
      name: opened.name,
      proofs: { token: opened },
      caches: [],
      files: [opened],
      checks: [],
      close: () => opened.close(),
    }
  }
  if (passwords !== undefined) return openPasswordFile(passwords, options)
  if (certificates !== undefined) return openX509(certificates, options)
  if (frontProxy !== undefined) return openRequestHeader(frontProxy, options)
  if (keystone !== undefined) return openKeystone(keystone, options)
  if (ldap !== undefined) return openLdap(ldap, options)
  if (oidc !== undefined) return openOidc(oidc, options)
  if (file !== undefined) return openAuthenticationConfiguration(file, options)
  if (apiserver !== undefined) return openApiserver(apiserver, options)
  if (settings.anonymous !== undefined) {
    return { name: 'anonymous', proofs: { anonymous: anonymous() }, caches: [], files: [], checks: [], close() {} }
  }
  throw new ArchwayError('config_invalid', 'authenticators: a source of no known kind')
}

type Proof = keyof Proofs

function proofs<P extends Proof>(sources: readonly Source[], proof: P): NonNullable<Proofs[P]>[] {
  return sources.flatMap((source) => source.proofs[proof] ?? [])
}

function group<P extends Proof, Credential>(
  proof: P,
  members: readonly Authenticator<Credential>[],
  wrap: (whole: Authenticator<Credential>) => Authenticator<Credential>,
): { readonly [Key in P]?: Authenticator<Credential> } {
  return members.length === 0 ? {} : ({ [proof]: wrap(union(members)) } as { [Key in P]: Authenticator<Credential> })
}

/** The mapping of a source stands around all of its proofs. */
function withMapping(source: Source, settings: AuthenticatorSettings, watch: SourceWatch | undefined): Source {
  const { mapping, anonymous: nobody } = settings
  if (mapping === undefined || nobody !== undefined) return source // the anonymous pass no gate after it
  return watched(
    wrapped(source, (inner) => mapped(inner, mapping)),
    'mapping',
    watch,
  )
}

function watched(source: Source, stage: 'source' | 'mapping', watch: SourceWatch | undefined): Source {
  if (watch === undefined) return source
  return wrapped(source, (inner) => ({
    name: inner.name,
    async authenticate(credential, ctx) {
      try {
        const result = await inner.authenticate(credential, ctx)
        watch(source.name, stage, result)
        return result
      } catch (cause) {
        watch(source.name, stage, { kind: 'failed', cause })
        throw cause
      }
    },
  }))
}

function wrapped(source: Source, wrap: <Credential>(inner: Authenticator<Credential>) => Authenticator<Credential>) {
  const { token, password, certificate, requestHeader, anonymous: nobody } = source.proofs
  return {
    ...source,
    proofs: {
      ...(token === undefined ? {} : { token: wrap(token) }),
      ...(password === undefined ? {} : { password: wrap(password) }),
      ...(certificate === undefined ? {} : { certificate: wrap(certificate) }),
      ...(requestHeader === undefined ? {} : { requestHeader: wrap(requestHeader) }),
      ...(nobody === undefined ? {} : { anonymous: wrap(nobody) }),
    },
  }
}

/** Every identity leaves through it, whatever its source. */
function gate(sources: readonly Source[], { config, metrics }: Pick<SourceOptions, 'config' | 'metrics'>) {
  const trusted = new Map(sources.flatMap(({ name, trust }) => (trust === undefined ? [] : [[name, trust] as const])))
  const observe = (event: string): void => metrics.gateEvents.labels(event).inc()
  return <Credential>(inner: Authenticator<Credential>): Authenticator<Credential> =>
    identityGate(inner, { ...config.identity, trusted, observe })
}

const PASSWORDS = 'passwords'

/**
 * Passwords of all sources, protected: a good one is remembered for a while, as every request of a person brings it
 * again. A bad one never is: each has to count.
 */
function rememberedPasswords(
  members: readonly PasswordAuthenticator[],
  options: Pick<SourceOptions, 'config' | 'metrics' | 'log'>,
  closers: Closer[],
): (PasswordAuthenticator & Remembered) | undefined {
  if (members.length === 0) return undefined
  const all: PasswordAuthenticator = { ...union(members), name: PASSWORDS }
  const settings = options.config.loginProtection
  return cachedPassword(withLoginProtection(all, { settings, ...options }, closers), {
    ...cacheOptions(PASSWORDS, options),
    negativeTtlMs: 0,
  })
}
