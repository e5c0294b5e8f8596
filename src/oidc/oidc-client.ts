/**
 * An OpenID Connect client for people at a terminal. Owns what a flow takes and gives; one file for each flow beside
 * this one.
 *
 * @module
 */
import type { Secret } from '../secret.ts'

export interface OidcClientOptions {
  /** Issuer, compared exactly with what its discovery document says. Or the discovery document's own address. */
  readonly issuer: string
  readonly clientId: string
  /** Absent: a public client. */
  readonly clientSecret?: Secret
  /** Default: `openid`. `offline_access` is asked for by {@link OidcClientOptions.refreshable}. */
  readonly scopes?: readonly string[]
  /**
   * Asks for refresh tokens: by `offline_access`, unless the issuer lists its scopes without it, and at the browser with
   * `prompt=consent` (OpenID Connect Core, section 11). Where that prompt does harm, list `offline_access` in `scopes`.
   */
  readonly refreshable?: boolean
  /** `audience` parameter of the authorization and token requests, for issuers that want one. */
  readonly audience?: string
  /** PEM; the only authorities that are trusted. Default: Node's and the system's. */
  readonly caFile?: string
  /** Default true. */
  readonly verify?: boolean
  /** For one request. Default 30 s. */
  readonly timeoutMs?: number
  readonly userAgent?: string
}

export interface OidcTokens {
  readonly accessToken: Secret
  readonly idToken?: Secret
  readonly refreshToken?: Secret
  /** Of the access token. */
  readonly expiresAt?: Date
  /** Of the ID token, checked. `exp`, `sub` and what people know themselves by. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** What a person has to do to go on with the device code flow (RFC 8628). */
export interface DeviceInstructions {
  readonly userCode: string
  readonly verificationUri: string
  readonly verificationUriComplete?: string
  readonly expiresAt: Date
}

export interface CodeFlowOptions {
  /** Brings the address before the person: opens a browser, or prints it. May go on for as long as it likes. */
  readonly show: (url: string) => void | Promise<void>
  /** Loopback ports to listen on, the first free one is taken; default: any (0). */
  readonly ports?: readonly number[]
  /**
   * Host in the redirect address. Default `127.0.0.1`, as RFC 8252 wants it; some issuers allow `localhost` only. What
   * is listened on is 127.0.0.1 either way.
   */
  readonly redirectHost?: '127.0.0.1' | 'localhost'
  /** Path of the redirect address, as it is registered at the issuer. Default `/callback`. */
  readonly redirectPath?: string
  readonly signal?: AbortSignal
  /** How long the person may take. Default 5 min. */
  readonly waitMs?: number
}

/**
 * Every method throws {@link ArchwayError}: `oidc_refused` when the issuer said no, others when it could not be told:
 * `oidc_unreachable`, `oidc_answer_invalid`, `oidc_timeout` (the person took too long), `credential_interrupted` (the
 * signal aborted), `file_invalid` (caFile), `credential_settings_invalid` (ports, paths). What `show` throws is thrown.
 */
export interface OidcClient {
  deviceCode(options: {
    readonly show: (instructions: DeviceInstructions) => void | Promise<void>
    readonly signal?: AbortSignal
  }): Promise<OidcTokens>
  authorizationCode(options: CodeFlowOptions): Promise<OidcTokens>
  /** RFC 6749, section 4.3: for Keystone's federation by password, and nothing else. */
  password(username: string, password: Secret): Promise<OidcTokens>
  /** The refresh token that is returned is the one to keep: the new one, or the old one where there is no new one. */
  refresh(refreshToken: Secret): Promise<OidcTokens>
  /** Revokes a refresh or access token, where the issuer can (RFC 7009). `false`: it cannot. */
  revoke(token: Secret): Promise<boolean>
}
