/**
 * The issuer as one client sees it: found once, asked in sessions. A session is what one flow needs, and ends with the
 * flow's signal.
 *
 * @module
 */
import * as client from 'openid-client'
import { ArchwayError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { type IssuerAddress, isConfidential, isLoopback, issuerAddress } from './address.ts'
import { type Doing, quote, toArchwayError } from './failure.ts'
import type { OidcClientOptions, OidcTokens } from './oidc-client.ts'
import { createTransport, type Transport } from './transport.ts'

/** Default of {@link OidcClientOptions.timeoutMs}. */
const TIMEOUT_MS = 30_000

/** Longest life of an access token that is believed, in seconds: a date can hold it, and nobody means more. */
const MAX_EXPIRES_IN = 10 * 365 * 86_400

const OFFLINE_ACCESS = 'offline_access'

/** RFC 6749, section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/

export type TokenResponse = Awaited<ReturnType<typeof client.refreshTokenGrant>>

export interface Session {
  readonly config: client.Configuration
  readonly metadata: client.ServerMetadata
  /** `scope`, where there is any. */
  readonly scope: Readonly<Record<string, string>>
  /** `audience`, where it was configured. */
  readonly audience: Readonly<Record<string, string>>
  /** An ID token is asked for. */
  readonly openid: boolean
  /** Refresh tokens are wanted, and the issuer has not said that it knows no scope for that. */
  readonly offline: boolean
  /**
   * One request to the issuer. `secrets` are kept out of messages, with the client's own.
   *
   * @throws ArchwayError for everything that goes wrong.
   */
  ask<T>(what: string, secrets: readonly Secret[], request: () => Promise<T>): Promise<T>
  /** A request that ends in tokens. */
  tokens(what: string, secrets: readonly Secret[], request: () => Promise<TokenResponse>): Promise<OidcTokens>
  /** An address the issuer gave for the person's browser. @throws ArchwayError `oidc_answer_invalid` */
  forBrowser(field: string, address: string): string
}

export interface Issuer {
  session(signal?: AbortSignal): Promise<Session>
}

/** @throws ArchwayError `credential_settings_invalid`. Nothing is asked before the first session. */
export function createIssuer(options: OidcClientOptions): Issuer {
  const address = issuerAddress(options.issuer)
  checkSettings(options)
  const { caFile, verify, timeoutMs = TIMEOUT_MS, userAgent = 'archway' } = options
  const transport = createTransport({
    timeoutMs,
    userAgent,
    ...(caFile === undefined ? {} : { caFile }),
    ...(verify === undefined ? {} : { verify }),
  })
  const secrets = options.clientSecret === undefined ? [] : [options.clientSecret]
  let known: client.ServerMetadata | undefined

  return {
    async session(signal) {
      const fetch = transport.fetch(signal)
      const metadata = known ?? (await discover(address, { options, fetch, timeoutMs }))
      known = metadata
      const config = new client.Configuration(metadata, options.clientId, undefined, authentication(options, metadata))
      configure(config, { fetch, timeoutMs, plain: isPlain(address) })
      const scopes = scopesOf(options, metadata)
      const ask = async <T>(what: string, sent: readonly Secret[], request: () => Promise<T>): Promise<T> => {
        const doing: Doing = { what: `${metadata.issuer}: ${what}`, secrets: [...secrets, ...sent] }
        try {
          return await request()
        } catch (thrown) {
          throw await toArchwayError(thrown, doing)
        }
      }
      return {
        config,
        metadata,
        scope: scopes.length === 0 ? {} : { scope: scopes.join(' ') },
        audience: options.audience === undefined ? {} : { audience: options.audience },
        openid: scopes.includes('openid'),
        offline: options.refreshable === true && scopes.includes(OFFLINE_ACCESS),
        ask,
        async tokens(what, sent, request) {
          const askedAt = Date.now()
          return toTokens(await ask(what, sent, request), askedAt)
        },
        forBrowser(field, text) {
          const url = URL.parse(text)
          if (url !== null && isConfidential(url)) return url.href
          const fault = `${field} is no https address: ${quote(text, [])}`
          throw new ArchwayError('oidc_answer_invalid', `${metadata.issuer}: ${fault}`)
        },
      }
    },
  }
}

function checkSettings({ clientId, clientSecret, scopes, timeoutMs }: OidcClientOptions): void {
  const invalid = (fault: string): ArchwayError => new ArchwayError('credential_settings_invalid', fault)
  if (clientId === '') throw invalid('clientId: it is empty; name the client as it is registered at the issuer')
  if (clientSecret?.reveal() === '') throw invalid('clientSecret: it is empty; leave it out for a public client')
  for (const scope of scopes ?? []) {
    if (!SCOPE.test(scope)) throw invalid(`scopes: ${JSON.stringify(scope)} is no scope; write each by itself`)
  }
  if (timeoutMs !== undefined && !(timeoutMs > 0)) throw invalid('timeoutMs: it has to be more than 0')
}

interface Discovery {
  readonly options: OidcClientOptions
  readonly fetch: ReturnType<Transport['fetch']>
  readonly timeoutMs: number
}

async function discover(
  address: IssuerAddress,
  { options, fetch, timeoutMs }: Discovery,
): Promise<client.ServerMetadata> {
  const what = address.discovery.href
  let metadata: client.ServerMetadata
  try {
    const found = await client.discovery(address.discovery, options.clientId, undefined, client.None(), {
      [client.customFetch]: fetch,
      timeout: timeoutMs / 1000,
      ...(isPlain(address) ? { execute: [client.allowInsecureRequests] } : {}),
    })
    metadata = found.serverMetadata()
  } catch (thrown) {
    throw await toArchwayError(thrown, { what, secrets: [] })
  }
  const { issuer } = metadata
  if (address.issuer !== undefined && issuer !== address.issuer) {
    const fault = `issuer is ${JSON.stringify(address.issuer)} here, and the issuer calls itself ${JSON.stringify(quote(issuer, []))}`
    throw new ArchwayError('oidc_answer_invalid', `${what}: ${fault}; write it exactly so, if it is the right one`)
  }
  const url = URL.parse(issuer)
  const printable = quote(issuer, []) === issuer // it begins every message from here on
  if (url === null || !isConfidential(url) || !printable) {
    throw new ArchwayError(
      'oidc_answer_invalid',
      `${what}: the issuer calls itself ${quote(issuer, [])}, which is no https URL`,
    )
  }
  return metadata
}

function isPlain({ discovery }: IssuerAddress): boolean {
  return discovery.protocol === 'http:' && isLoopback(discovery)
}

function configure(
  config: client.Configuration,
  { fetch, timeoutMs, plain }: Pick<Discovery, 'fetch' | 'timeoutMs'> & { readonly plain: boolean },
): void {
  config[client.customFetch] = fetch
  config.timeout = timeoutMs / 1000
  client.enableNonRepudiationChecks(config) // the ID token's signature, beside TLS
  if (plain) client.allowInsecureRequests(config)
}

/** RFC 8414: `client_secret_basic` where the issuer does not say what it takes. */
function authentication({ clientSecret }: OidcClientOptions, metadata: client.ServerMetadata): client.ClientAuth {
  if (clientSecret === undefined) return client.None()
  const methods = listed(metadata.token_endpoint_auth_methods_supported) ?? []
  const post = methods.includes('client_secret_post') && !methods.includes('client_secret_basic')
  return post ? client.ClientSecretPost(clientSecret.reveal()) : client.ClientSecretBasic(clientSecret.reveal())
}

/** `offline_access` is left out where the issuer lists its scopes without it: some refuse what they do not know. */
function scopesOf({ scopes = ['openid'], refreshable }: OidcClientOptions, metadata: client.ServerMetadata): string[] {
  const known = listed(metadata.scopes_supported)?.includes(OFFLINE_ACCESS) ?? true
  return [...new Set([...scopes, ...(refreshable === true && known ? [OFFLINE_ACCESS] : [])])]
}

/** A list of the discovery document, of which openid-client checks no more than what it uses itself. */
function listed(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? value : undefined
}

/** Tokens that were checked; `askedAt` is from before the request, so that none lives longer here than it does. */
export function toTokens(response: TokenResponse, askedAt: number): OidcTokens {
  const { access_token, id_token, refresh_token, expires_in } = response
  const claims = response.claims()
  return {
    accessToken: new Secret(access_token),
    ...(id_token === undefined ? {} : { idToken: new Secret(id_token) }),
    ...(refresh_token === undefined ? {} : { refreshToken: new Secret(refresh_token) }),
    ...(expires_in === undefined ? {} : { expiresAt: new Date(askedAt + Math.min(expires_in, MAX_EXPIRES_IN) * 1000) }),
    ...(claims === undefined ? {} : { claims: { ...claims } }),
  }
}
