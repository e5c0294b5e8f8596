/**
 * Sources of identities: settings become one chain, shared by every door, with what has to be looked after.
 *
 * @module
 */
import { audienceBound } from '../authn/audiences.ts'
import type { Authenticator, PasswordAuthenticator, TokenAuthenticator } from '../authn/authenticator.ts'
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
import { type Closer, closeAll, type Part } from './part.ts'
import { openKeystone } from './sources/keystone.ts'
import { openApiserver } from './sources/kubernetes.ts'
import { openLdap } from './sources/ldap.ts'
import { openAuthenticationConfiguration, openOidc } from './sources/oidc.ts'
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

/** Opens every source of the configuration. Throws, with nothing left open, where one cannot start. */
export async function openIdentities(options: Omit<SourceOptions, 'forgetPasswords'>): Promise<Identities> {
  const { config, log } = options
  const closers: Closer[] = []
  let passwords: (PasswordAuthenticator & Remembered) | undefined
  const forgetPasswords = (): void => passwords?.flush()
  try {
    const sources: Source[] = []
    for (const settings of config.authenticators) {
      const source = await openSource(settings, { ...options, forgetPasswords })
      closers.push(() => source.close())
      sources.push(withMapping(source, settings))
    }
    const gated = gate(sources, options)
    const tokens = audienceBound(gated(union(proofs(sources, 'token'))), config.audiences)
    passwords = rememberedPasswords(proofs(sources, 'password'), options)
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
      checks: sources.flatMap((source) => source.checks),
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
function withMapping(source: Source, { mapping }: AuthenticatorSettings): Source {
  if (mapping === undefined) return source
  const { token, password, certificate, requestHeader } = source.proofs
  return {
    ...source,
    proofs: {
      ...source.proofs,
      ...(token === undefined ? {} : { token: mapped(token, mapping) }),
      ...(password === undefined ? {} : { password: mapped(password, mapping) }),
      ...(certificate === undefined ? {} : { certificate: mapped(certificate, mapping) }),
      ...(requestHeader === undefined ? {} : { requestHeader: mapped(requestHeader, mapping) }),
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
 * Passwords of all sources: a good one is remembered for a while, as every request of a person brings it again. A bad
 * one never is: each has to count.
 */
function rememberedPasswords(
  members: readonly PasswordAuthenticator[],
  options: Pick<SourceOptions, 'config' | 'metrics'>,
): (PasswordAuthenticator & Remembered) | undefined {
  if (members.length === 0) return undefined
  const all: PasswordAuthenticator = { ...union(members), name: PASSWORDS }
  return cachedPassword(all, { ...cacheOptions(PASSWORDS, options), negativeTtlMs: 0 })
}
